/** The rules of a task execution: what a supervisor does next, from the frozen plan and what is seen. */
import {
  ServicePhase,
  TaskExecutionPhase as Phase,
  TaskExecutionStatusSchema,
  TaskExecutionStatus_StepSchema,
  type Service,
  type TaskExecution,
  type TaskExecutionSpec_Step,
  type TaskExecutionStatus,
  type TaskExecutionStatus_Step,
  type TaskSpec,
} from '@atelier/api/gitpod/environment_automation';
import { clone, create, equals } from '@bufbuild/protobuf';
import { describeExit, succeeded, type ProcessFacts, type Signal } from './process.ts';
import { isReady, isSettled } from './service.ts';

/** How long a task may take to end after SIGTERM before SIGKILL. */
export const taskStopDeadlineMs = 10_000;

/** What a supervisor has seen of one execution. Keys are step ids. */
export interface ExecutionFacts {
  /** What was last reported of it; an empty message when nothing was. */
  status: TaskExecutionStatus;
  /** The command of each task step that was started; none of before a restart of the environment. */
  processes: Readonly<Record<string, ProcessFacts>>;
  /** The service of each service step, with its current spec and status. */
  services: Readonly<Record<string, Service>>;
  /** For each service step whose start was asked for: `spec.session` of the service at that time. */
  requestedSessions: Readonly<Record<string, string>>;
}

/** What to do, in this order. */
export type ExecutionAction =
  /** Keep the status as `facts.status` and send it on; the caller counts `statusVersion`. */
  | { kind: 'report'; status: TaskExecutionStatus }
  /** Run the task's command as text for `/bin/sh -c`. */
  | { kind: 'run'; stepId: string; taskId: string; spec: TaskSpec }
  /** Ask for a new session of the service, desired RUNNING, and note its session in `requestedSessions`. */
  | { kind: 'startService'; stepId: string; serviceId: string }
  /** Send the signal to the whole process group of the step's command and note the time in its facts. */
  | { kind: 'signal'; stepId: string; signal: Signal };

/** The actions of now, and when to ask again if nothing happens before. */
export interface ExecutionStep {
  actions: ExecutionAction[];
  /** Absent: only a change of the execution, of a command or of a service needs another look. */
  againAtMs?: number;
}

/** One step of the plan: what it is now, and what to do for it. */
interface StepOutcome {
  phase: Phase;
  failureMessage?: string;
  action?: ExecutionAction;
  againAtMs?: number;
}

/**
 * Decides what to do for an execution. Rules:
 * - A step begins when all steps it depends on have SUCCEEDED; one that FAILED or STOPPED cancels it: STOPPED.
 *   Steps that do not depend on each other run in parallel.
 * - A task SUCCEEDED when its command exits with 0, else it FAILED. A command that is gone with its
 *   environment FAILED.
 * - A service step SUCCEEDED when the service is RUNNING. When it does not run, its start is asked for once;
 *   when it then stops or fails, the step FAILED.
 * - Stop (desired STOPPED): no step begins; a running command gets SIGTERM and is STOPPED when it ends, or
 *   SIGKILL after ten seconds and is FAILED. Services are left as they are.
 * - The execution ends with its last step: FAILED if any step is, else STOPPED if any is, else SUCCEEDED.
 */
export function nextExecutionActions(
  execution: TaskExecution,
  facts: ExecutionFacts,
  nowMs: number,
): ExecutionStep {
  const plan = (execution.spec?.plan ?? []).flatMap((group) => group.steps);
  const stop = execution.spec?.desiredPhase === Phase.STOPPED;
  const before = new Map(facts.status.steps.map((step) => [step.id, step]));
  const after = new Map<string, TaskExecutionStatus_Step>();
  const actions: ExecutionAction[] = [];
  let againAtMs = Infinity;
  for (const step of plan) {
    const old = before.get(step.id) ?? create(TaskExecutionStatus_StepSchema, { id: step.id });
    if (isFinal(old.phase)) {
      after.set(step.id, old);
      continue;
    }
    const outcome = nextOutcome(step, old.phase, { facts, after, plan, stop, nowMs });
    const changed = clone(TaskExecutionStatus_StepSchema, old);
    changed.phase = outcome.phase;
    changed.failureMessage = outcome.failureMessage ?? '';
    after.set(step.id, changed);
    if (outcome.action) actions.push(outcome.action);
    againAtMs = Math.min(againAtMs, outcome.againAtMs ?? Infinity);
  }
  const status = clone(TaskExecutionStatusSchema, facts.status);
  status.steps = [...after.values()];
  status.phase = overallPhase(status.steps);
  status.failureMessage = overallFailure(plan, status);
  if (!equals(TaskExecutionStatusSchema, status, facts.status)) actions.unshift({ kind: 'report', status });
  return Number.isFinite(againAtMs) ? { actions, againAtMs } : { actions };
}

interface StepSituation {
  facts: ExecutionFacts;
  /** The steps of the plan before this one, as they are now. */
  after: ReadonlyMap<string, TaskExecutionStatus_Step>;
  plan: readonly TaskExecutionSpec_Step[];
  stop: boolean;
  nowMs: number;
}

function nextOutcome(step: TaskExecutionSpec_Step, phase: Phase, situation: StepSituation): StepOutcome {
  const { facts, after, plan, stop, nowMs } = situation;
  const process = facts.processes[step.id];
  if (process) return runningTask(step.id, process, stop, nowMs);
  if (step.step.case === 'task' && phase === Phase.RUNNING) {
    return { phase: Phase.FAILED, failureMessage: 'its command was lost when the environment stopped' };
  }
  if (stop) return { phase: Phase.STOPPED };
  const dependencies = step.dependsOn.map((id) => ({ id, phase: after.get(id)?.phase }));
  const broken = dependencies.find(({ phase: of }) => of === Phase.FAILED || of === Phase.STOPPED);
  if (broken) {
    const label = plan.find((other) => other.id === broken.id)?.label || broken.id;
    const ended = broken.phase === Phase.FAILED ? 'failed' : 'did not run to its end';
    return { phase: Phase.STOPPED, failureMessage: `depends on ${label}, which ${ended}` };
  }
  if (dependencies.some(({ phase: of }) => of !== Phase.SUCCEEDED)) return { phase: Phase.PENDING };
  if (step.step.case === 'serviceId') return serviceStep(step.id, step.step.value, phase, facts);
  const { id: taskId, spec } = step.step.value ?? {};
  if (taskId === undefined || !spec) {
    return { phase: Phase.FAILED, failureMessage: 'the plan says neither a task nor a service' };
  }
  return { phase: Phase.RUNNING, action: { kind: 'run', stepId: step.id, taskId, spec } };
}

function runningTask(stepId: string, process: ProcessFacts, stop: boolean, nowMs: number): StepOutcome {
  const { exit, terminatedAtMs, killedAtMs } = process;
  if (exit) {
    if (succeeded(process)) return { phase: Phase.SUCCEEDED };
    if (killedAtMs !== undefined) {
      const failureMessage = `its command did not end within ${taskStopDeadlineMs / 1000} s of SIGTERM and was killed`;
      return { phase: Phase.FAILED, failureMessage };
    }
    if (terminatedAtMs !== undefined) return { phase: Phase.STOPPED };
    return { phase: Phase.FAILED, failureMessage: `its command ${describeExit(exit)}` };
  }
  if (!stop || killedAtMs !== undefined) return { phase: Phase.RUNNING };
  const deadlineMs = (terminatedAtMs ?? nowMs) + taskStopDeadlineMs;
  if (terminatedAtMs === undefined) {
    const action = { kind: 'signal', stepId, signal: 'SIGTERM' } as const;
    return { phase: Phase.RUNNING, action, againAtMs: deadlineMs };
  }
  if (nowMs < deadlineMs) return { phase: Phase.RUNNING, againAtMs: deadlineMs };
  return { phase: Phase.RUNNING, action: { kind: 'signal', stepId, signal: 'SIGKILL' } };
}

function serviceStep(stepId: string, serviceId: string, phase: Phase, facts: ExecutionFacts): StepOutcome {
  const service = facts.services[stepId];
  if (!service) return { phase: Phase.FAILED, failureMessage: 'the service no longer exists' };
  if (isReady(service)) return { phase: Phase.SUCCEEDED };
  const { spec, status } = service;
  const current = status?.session === spec?.session;
  if (spec?.desiredPhase === ServicePhase.RUNNING && !(current && isSettled(status?.phase))) {
    return { phase: Phase.RUNNING };
  }
  const requested = facts.requestedSessions[stepId];
  if (requested === undefined && phase !== Phase.RUNNING) {
    return { phase: Phase.RUNNING, action: { kind: 'startService', stepId, serviceId } };
  }
  if (requested !== undefined && requested === (spec?.session ?? '')) return { phase: Phase.RUNNING };
  const reason = status?.failureMessage ? `: ${status.failureMessage}` : '';
  const ended = status?.phase === ServicePhase.FAILED ? 'failed' : 'stopped';
  return { phase: Phase.FAILED, failureMessage: `the service ${ended} before it was ready${reason}` };
}

/** Whether an execution or a step has ended: SUCCEEDED, FAILED, STOPPED. */
export function isFinal(phase: Phase): boolean {
  return phase === Phase.SUCCEEDED || phase === Phase.FAILED || phase === Phase.STOPPED;
}

function overallPhase(steps: readonly TaskExecutionStatus_Step[]): Phase {
  const phases = new Set(steps.map((step) => step.phase));
  if (steps.some((step) => !isFinal(step.phase))) {
    return phases.size === 1 && phases.has(Phase.PENDING) ? Phase.PENDING : Phase.RUNNING;
  }
  if (phases.has(Phase.FAILED)) return Phase.FAILED;
  return phases.has(Phase.STOPPED) ? Phase.STOPPED : Phase.SUCCEEDED;
}

/** The first failure, in the order of the plan, once the execution has FAILED. */
function overallFailure(plan: readonly TaskExecutionSpec_Step[], status: TaskExecutionStatus): string {
  if (status.phase !== Phase.FAILED) return '';
  const failed = status.steps.find((step) => step.phase === Phase.FAILED);
  const label = plan.find((step) => step.id === failed?.id)?.label || failed?.id;
  return `${label}: ${failed?.failureMessage}`;
}
