/** What `up` shows of a view: steps of the start, then services and tasks. Pure but for its memory of times. */
import {
  ServicePhase,
  TaskExecutionPhase,
  type Service,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import type { EnvironmentView } from '@atelier/sdk';
import { atMs, progressOf } from '../environment-facts.ts';
import type { ProgressStep } from '../output/progress.ts';
import { isOfBoot } from './outcome.ts';

/** Turns views into steps; keeps when each service was first seen starting. */
export class UpProgress {
  readonly #sinceMs: number;
  readonly #times = new Map<string, { startedAtMs: number; tookMs?: number }>();

  /** Steps that began before `sinceMs` belong to an earlier start and are left out. */
  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  /** The steps of a view. */
  stepsOf(view: EnvironmentView, nowMs: number): ProgressStep[] {
    const { environment } = view;
    if (!environment) return [];
    const steps = environment.status?.detail?.steps.flatMap((step) => progressOf(step) ?? []) ?? [];
    const services = [...view.services.values()].flatMap((each) => this.#service(each, nowMs) ?? []);
    const tasks = [...view.executions.values()]
      .filter((execution) => isOfBoot(execution, environment))
      .flatMap((each) => this.#task(each, view, nowMs) ?? []);
    return [...steps.filter(({ startedAtMs }) => startedAtMs >= this.#sinceMs), ...services, ...tasks];
  }

  #service({ id, metadata, spec, status }: Service, nowMs: number): ProgressStep | undefined {
    if (spec?.desiredPhase !== ServicePhase.RUNNING) return undefined;
    const key = `${id}#${spec.session}`;
    const phase = status?.session === spec.session ? status.phase : ServicePhase.STARTING;
    const states: Partial<Record<ServicePhase, ProgressStep['state']>> = {
      [ServicePhase.RUNNING]: 'succeeded',
      [ServicePhase.STOPPED]: 'succeeded',
      [ServicePhase.FAILED]: 'failed',
    };
    const state = states[phase] ?? 'running';
    const times = this.#timesOf(key, state, nowMs);
    // A service that was up before we looked is none of this start's steps.
    if (times.tookMs === 0) return undefined;
    const label = `service ${metadata?.reference ?? ''}`;
    return { key, label, state, message: status?.failureMessage ?? '', ...times };
  }

  #task(
    { id, metadata, status }: TaskExecution,
    view: EnvironmentView,
    nowMs: number,
  ): ProgressStep | undefined {
    const states: Partial<Record<TaskExecutionPhase, ProgressStep['state']>> = {
      [TaskExecutionPhase.SUCCEEDED]: 'succeeded',
      [TaskExecutionPhase.FAILED]: 'failed',
      [TaskExecutionPhase.STOPPED]: 'failed',
    };
    const state = states[status?.phase ?? TaskExecutionPhase.UNSPECIFIED] ?? 'running';
    const startedAtMs = atMs(metadata?.startedAt) ?? nowMs;
    if (startedAtMs < this.#sinceMs) return undefined;
    const endedAtMs = atMs(metadata?.completedAt);
    const reference = view.tasks.get(metadata?.taskId ?? '')?.metadata?.reference ?? '';
    const step = {
      key: id,
      label: `task ${reference}`,
      state,
      startedAtMs,
      message: status?.failureMessage ?? '',
    };
    return endedAtMs === undefined ? step : { ...step, tookMs: endedAtMs - startedAtMs };
  }

  #timesOf(
    key: string,
    state: ProgressStep['state'],
    nowMs: number,
  ): { startedAtMs: number; tookMs?: number } {
    const times = this.#times.get(key) ?? { startedAtMs: nowMs };
    if (state !== 'running') times.tookMs ??= nowMs - times.startedAtMs;
    this.#times.set(key, times);
    return times;
  }
}
