/** The rules of a service: what a supervisor does next, from what is wanted and what is seen. */
import {
  ServicePhase,
  ServiceStatusSchema,
  type Service,
  type ServiceSpec,
  type ServiceStatus,
} from '@atelier/api/gitpod/environment_automation';
import { clone } from '@bufbuild/protobuf';
import { describeExit, succeeded, type ProcessFacts, type Signal } from './process.ts';

/** The shortest time between the starts of two ready checks. */
export const readyIntervalMs = 1000;

/** How long a service may take to end after SIGTERM, and its stop command to run, before SIGKILL. */
export const serviceStopDeadlineMs = 120_000;

/** What a supervisor has seen of one service. The commands are of the session in `status.session`. */
export interface ServiceFacts {
  /**
   * What was last reported of it. After a restart of the environment: the status of before, so that nothing
   * starts again for an old session. An empty message when nothing was ever reported.
   */
  status: ServiceStatus;
  /** The start command; absent before its start and after a restart of the environment. */
  start?: ProcessFacts;
  /** The latest ready check. */
  ready?: ProcessFacts;
  /** The stop command. */
  stop?: ProcessFacts;
  /** The services that must be RUNNING first, with their current spec and status. */
  dependencies: readonly Service[];
}

/** What to do, in this order. Commands are texts for `/bin/sh -c`. */
export type ServiceAction =
  /** Keep the status as `facts.status` and send it on; the caller counts `statusVersion`. */
  | { kind: 'report'; status: ServiceStatus }
  /** Forget the facts of all three commands and run the start command. */
  | { kind: 'start'; command: string }
  /** Run the ready check; its facts replace those of the one before. */
  | { kind: 'ready'; command: string }
  /** Run the stop command. */
  | { kind: 'stop'; command: string }
  /** Send the signal to the whole process group of that command and note the time in its facts. */
  | { kind: 'signal'; target: 'start' | 'ready' | 'stop'; signal: Signal };

/** The actions of now, and when to ask again if nothing happens before. */
export interface ServiceStep {
  actions: ServiceAction[];
  /** Absent: only a change of the service, of a command or of a dependency needs another look. */
  againAtMs?: number;
}

/**
 * Decides what to do for a service. Rules:
 * - It starts when it is desired RUNNING and `spec.session` is another than `status.session`, after what runs
 *   of the old session has been stopped and every dependency is RUNNING. A dependency that will not run
 *   cancels it: STOPPED with the reason. Until it starts, `status.session` stays the old one.
 * - The start command exits with 0: STOPPED; otherwise: FAILED. Neither starts again in the same session.
 * - The ready check runs at most once per second until it exits with 0: STARTING becomes RUNNING. Without
 *   one, a started service is RUNNING. Not ready within `readinessTimeout` (0 is none): FAILED, and it is
 *   stopped.
 * - Stop: the stop command, then SIGKILL to the start command; without a stop command SIGTERM; SIGKILL after
 *   two minutes. A stop command that fails: FAILED, else STOPPED, or DELETED when that is desired.
 */
export function nextServiceActions(service: Service, facts: ServiceFacts, nowMs: number): ServiceStep {
  const { spec } = service;
  if (spec?.desiredPhase !== ServicePhase.RUNNING) return whenNotWanted(spec, facts, nowMs);
  if (spec.session !== facts.status.session) return whenNewSession(spec, facts, nowMs);
  return whenWanted(spec, facts, nowMs);
}

function whenNotWanted(spec: ServiceSpec | undefined, facts: ServiceFacts, nowMs: number): ServiceStep {
  if (isAlive(facts)) return stopping(spec, facts, nowMs);
  if (spec?.desiredPhase === ServicePhase.DELETED) return report(facts, ServicePhase.DELETED);
  if (isSettled(facts.status.phase)) return { actions: [] };
  const waited = facts.status.phase === ServicePhase.STARTING && spec?.session !== facts.status.session;
  return waited ? report(facts, ServicePhase.STOPPED) : settled(facts);
}

function whenNewSession(spec: ServiceSpec, facts: ServiceFacts, nowMs: number): ServiceStep {
  if (isAlive(facts)) return stopping(spec, facts, nowMs);
  const obstacle = firstObstacle(facts.dependencies);
  if (obstacle?.kind === 'never') {
    return report(facts, ServicePhase.STOPPED, obstacle.reason, spec.session);
  }
  if (obstacle) return report(facts, ServicePhase.STARTING);
  const status = clone(ServiceStatusSchema, facts.status);
  status.output = {};
  const started = report({ ...facts, status }, ServicePhase.STARTING, '', spec.session);
  return { actions: [...started.actions, { kind: 'start', command: spec.commands?.start ?? '' }] };
}

function whenWanted(spec: ServiceSpec, facts: ServiceFacts, nowMs: number): ServiceStep {
  const { start, status } = facts;
  if (isSettled(status.phase)) return isAlive(facts) ? stopping(spec, facts, nowMs) : { actions: [] };
  if (status.phase === ServicePhase.STOPPING) {
    return isAlive(facts) ? stopping(spec, facts, nowMs) : settled(facts);
  }
  if (!start || start.exit) {
    const end = settled(facts);
    return { actions: [...killed('ready', facts.ready), ...end.actions] };
  }
  if (status.phase === ServicePhase.RUNNING) return { actions: [] };
  return whenStarting(spec, start, facts, nowMs);
}

/** The start command runs and the service is not ready yet. */
function whenStarting(
  spec: ServiceSpec,
  start: ProcessFacts,
  facts: ServiceFacts,
  nowMs: number,
): ServiceStep {
  const command = spec.commands?.ready ?? '';
  if (command === '' || succeeded(facts.ready)) return report(facts, ServicePhase.RUNNING);
  const timeoutMs = readinessTimeoutMs(spec);
  const deadlineMs = timeoutMs > 0 ? start.startedAtMs + timeoutMs : Infinity;
  if (nowMs >= deadlineMs) {
    const failed = report(
      facts,
      ServicePhase.FAILED,
      `was not ready within ${timeoutMs / 1000} s of its start`,
    );
    const stop = stopping(spec, facts, nowMs, 'keep');
    return { ...stop, actions: [...failed.actions, ...stop.actions] };
  }
  const { ready } = facts;
  if (ready && !ready.exit) return again({ actions: [] }, deadlineMs);
  const nextCheckMs = ready ? ready.startedAtMs + readyIntervalMs : nowMs;
  if (nowMs < nextCheckMs) return again({ actions: [] }, Math.min(nextCheckMs, deadlineMs));
  return again({ actions: [{ kind: 'ready', command }] }, deadlineMs);
}

/** One step on the way to "nothing runs any more". A settled phase stays, any other becomes STOPPING. */
function stopping(
  spec: ServiceSpec | undefined,
  facts: ServiceFacts,
  nowMs: number,
  phase: 'report' | 'keep' = isSettled(facts.status.phase) ? 'keep' : 'report',
): ServiceStep {
  const { start, stop } = facts;
  const actions: ServiceAction[] = phase === 'keep' ? [] : report(facts, ServicePhase.STOPPING).actions;
  actions.push(...killed('ready', facts.ready));
  const command = spec?.commands?.stop ?? '';
  if (stop && !stop.exit) {
    const deadlineMs = stop.startedAtMs + serviceStopDeadlineMs;
    if (nowMs < deadlineMs) return again({ actions }, deadlineMs);
    actions.push(...killed('stop', stop), ...killed('start', start));
  } else if (stop) actions.push(...killed('start', start));
  else if (!start || start.exit) return { actions };
  else if (command !== '' && start.terminatedAtMs === undefined) {
    actions.push({ kind: 'stop', command });
    return again({ actions }, nowMs + serviceStopDeadlineMs);
  } else if (start.terminatedAtMs === undefined) {
    actions.push({ kind: 'signal', target: 'start', signal: 'SIGTERM' });
    return again({ actions }, nowMs + serviceStopDeadlineMs);
  } else if (nowMs < start.terminatedAtMs + serviceStopDeadlineMs) {
    return again({ actions }, start.terminatedAtMs + serviceStopDeadlineMs);
  } else actions.push(...killed('start', start));
  return { actions };
}

/** Everything has ended and the phase does not say so yet. */
function settled(facts: ServiceFacts): ServiceStep {
  const { start, stop } = facts;
  if (stop?.exit && !succeeded(stop)) {
    return report(facts, ServicePhase.FAILED, `its stop command ${describeExit(stop.exit)}`);
  }
  const asked = stop !== undefined || start?.terminatedAtMs !== undefined || start?.killedAtMs !== undefined;
  if (start?.exit && !asked && !succeeded(start)) {
    return report(facts, ServicePhase.FAILED, `its start command ${describeExit(start.exit)}`);
  }
  return report(facts, ServicePhase.STOPPED);
}

/** What keeps a service from starting: something that may pass, or something that will not. */
type Obstacle = { kind: 'wait' } | { kind: 'never'; reason: string };

function firstObstacle(dependencies: readonly Service[]): Obstacle | undefined {
  let obstacle: Obstacle | undefined;
  for (const dependency of dependencies) {
    if (isReady(dependency)) continue;
    const name = dependency.metadata?.reference || dependency.id;
    if (dependency.spec?.desiredPhase !== ServicePhase.RUNNING) {
      return { kind: 'never', reason: `depends on ${name}, which was not started` };
    }
    const current = dependency.status?.session === dependency.spec.session;
    if (current && isSettled(dependency.status?.phase)) {
      const failed = dependency.status?.phase === ServicePhase.FAILED;
      return { kind: 'never', reason: `depends on ${name}, which ${failed ? 'failed' : 'stopped'}` };
    }
    obstacle = { kind: 'wait' };
  }
  return obstacle;
}

/** Whether a service is RUNNING in the session that is wanted of it. */
export function isReady(service: Service): boolean {
  return (
    service.status?.phase === ServicePhase.RUNNING &&
    service.spec?.desiredPhase === ServicePhase.RUNNING &&
    service.status.session === service.spec.session
  );
}

/** Whether a phase lasts until somebody wants something else: STOPPED, FAILED, DELETED. */
export function isSettled(phase: ServicePhase | undefined): boolean {
  return phase === ServicePhase.STOPPED || phase === ServicePhase.FAILED || phase === ServicePhase.DELETED;
}

function isAlive(facts: ServiceFacts): boolean {
  return [facts.start, facts.ready, facts.stop].some((process) => process && !process.exit);
}

function killed(target: 'start' | 'ready' | 'stop', process: ProcessFacts | undefined): ServiceAction[] {
  if (!process || process.exit || process.killedAtMs !== undefined) return [];
  return [{ kind: 'signal', target, signal: 'SIGKILL' }];
}

function report(
  facts: ServiceFacts,
  phase: ServicePhase,
  failureMessage = '',
  session: string = facts.status.session,
): ServiceStep {
  const before = facts.status;
  if (before.phase === phase && before.failureMessage === failureMessage && before.session === session) {
    return { actions: [] };
  }
  const status = clone(ServiceStatusSchema, before);
  status.phase = phase;
  status.failureMessage = failureMessage;
  status.session = session;
  return { actions: [{ kind: 'report', status }] };
}

function again(step: ServiceStep, atMs: number): ServiceStep {
  return Number.isFinite(atMs) ? { ...step, againAtMs: atMs } : step;
}

function readinessTimeoutMs(spec: ServiceSpec): number {
  const timeout = spec.readinessTimeout;
  return timeout ? Number(timeout.seconds) * 1000 + timeout.nanos / 1_000_000 : 0;
}
