/**
 * What an environment's record has to say before any step runs: each rule gives a change that follows from
 * what was seen, or undefined. A change makes its own rule content, so the rules come to an end.
 */
import { durationText, readinessOf, stepTexts, type StepNeed } from './backoff.ts';
import { forwardNeeds, instanceMayStart } from './forward.ts';
import { stepNames, type RecordChange } from './model.ts';
import {
  contentIsMade,
  isFailed,
  isIdleStopped,
  isInRecovery,
  isReady,
  mainIsInTheWay,
  rootIsMade,
  supervisorIsApplied,
  wayOf,
  type Situation,
} from './situation.ts';

/** One rule: the change that follows, or undefined when the record is as it should be. */
export type ChangeRule = (situation: Situation) => RecordChange | undefined;

/** How often an instance that ended by itself is started again within {@link fallWindowMs}. */
export const fallsMax = 3;
const fallWindowMs = 600_000;

/** The rules in their order: the first one that has a change is applied, then all are asked again. */
export const changeRules: readonly ChangeRule[] = [
  endedIdleStop,
  endedFailure,
  newGoal,
  nothingLeftRunning,
  emptyContent,
  diskLost,
  startOutdated,
  launched,
  fallen,
  lifecycleEnded,
  stepExhausted,
  startTooLong,
  bootNamed,
];

function endedIdleStop({ desired, record }: Situation): RecordChange | undefined {
  if (record.idleStop === undefined || isIdleStopped(desired, record)) return undefined;
  return { idleStop: undefined };
}

function endedFailure({ desired, record }: Situation): RecordChange | undefined {
  if (record.failure === undefined || isFailed(desired, record)) return undefined;
  return { failure: undefined };
}

/**
 * Another goal begins: clocks and failures start anew. A record without any goal beside a disk is a record
 * that was lost: what is on the disk may be somebody's work, so it counts as made and is never cleared.
 */
function newGoal({ desired, observed, record, nowMs }: Situation): RecordChange | undefined {
  const way = wayOf(desired, record);
  const sessions = [desired.machineSession, desired.contentSession, desired.devcontainerSession];
  const goal = way === 'running' ? [way, ...sessions].join(' ') : way;
  if (record.goal === goal) return undefined;
  const change: RecordChange = { goal, goalSinceMs: nowMs, falls: undefined, forgetFailures: stepNames };
  const lost =
    record.goal === undefined && observed.disk !== undefined && record.contentSession === undefined;
  return lost ? { ...change, contentSession: desired.contentSession } : change;
}

function nothingLeftRunning({ desired, observed, record }: Situation): RecordChange | undefined {
  if (wayOf(desired, record) === 'running' || observed.main !== undefined) return undefined;
  if (record.boot === undefined && record.ready === undefined) return undefined;
  return { boot: undefined, ready: undefined };
}

function isForward({ desired, record }: Situation): boolean {
  return wayOf(desired, record) === 'running';
}

function emptyContent(situation: Situation): RecordChange | undefined {
  const { desired, observed } = situation;
  if (!isForward(situation) || desired.hasContent || observed.disk === undefined) return undefined;
  return contentIsMade(situation) ? undefined : { contentSession: desired.contentSession };
}

/** A disk that was there and is gone took the workspace with it: made anew in silence, the loss would not be seen. */
function diskLost(situation: Situation): RecordChange | undefined {
  const { desired, observed, record } = situation;
  if (!isForward(situation) || observed.disk !== undefined) return undefined;
  if (record.contentSession !== desired.contentSession) return undefined;
  const message =
    'The disk of the environment is gone, and the workspace with it. Bring it back, ask for new content, or delete the environment.';
  return { failure: { machineSession: desired.machineSession, step: 'disk', message } };
}

/** A start that was named for an earlier machine session and never made gets a new name. */
function startOutdated(situation: Situation): RecordChange | undefined {
  const { desired, observed, record } = situation;
  if (!isForward(situation) || record.boot === undefined || observed.main !== undefined) return undefined;
  return record.machineSession === desired.machineSession ? undefined : { boot: undefined };
}

function launched({ observed, record }: Situation): RecordChange | undefined {
  if (observed.main?.state !== 'running' || observed.main.generation !== record.generation) return undefined;
  return record.boot === record.launchedBoot ? undefined : { launchedBoot: record.boot };
}

/** PID 1 ended by itself, or is gone: a new boot, or failure when it happened too often within the window. */
function fallen(situation: Situation): RecordChange | undefined {
  const { desired, observed, record, nowMs } = situation;
  const { main } = observed;
  if (!isForward(situation) || record.boot === undefined || mainIsInTheWay(situation)) return undefined;
  const gone = main === undefined && record.boot === record.launchedBoot;
  if (!gone && main?.state !== 'ended') return undefined;
  const end = endText(main?.end);
  const recent = record.falls !== undefined && nowMs - record.falls.sinceMs < fallWindowMs;
  const before = recent ? record.falls : undefined;
  const falls = { count: (before?.count ?? 0) + 1, sinceMs: before?.sinceMs ?? nowMs, end };
  if (falls.count > fallsMax) {
    const message = `The instance ${end}, ${falls.count} times within ${durationText(fallWindowMs)}.`;
    return { falls, failure: { machineSession: desired.machineSession, step: 'instance', message } };
  }
  const change: RecordChange = {
    falls,
    boot: undefined,
    ready: undefined,
    forgetFailures: ['instance', 'supervisor', 'lifecycle'],
  };
  return record.ready?.boot === record.boot ? { ...change, goalSinceMs: nowMs } : change;
}

function endText(end: string | undefined): string {
  if (end === undefined) return 'disappeared';
  if (end === 'out-of-memory') return 'ran out of memory';
  if (end === 'killed') return 'was killed from outside';
  return end === 'exited' ? 'ended by itself' : `ended (${end})`;
}

function lifecycleEnded(situation: Situation): RecordChange | undefined {
  const { supervisor } = situation.observed;
  if (!isForward(situation) || isReady(situation) || mainIsInTheWay(situation)) return undefined;
  if (!rootIsMade(situation) || !supervisorIsApplied(situation) || situation.observed.main === undefined) {
    return undefined;
  }
  if (supervisor?.lifecycle === 'running') return undefined;
  if (supervisor?.lifecycle === 'failed') {
    return lifecycleFailed(situation, supervisor.lifecycleMessage ?? 'A life-cycle command failed.');
  }
  return rootIsOwn(situation) ? { ...readyNow(situation), recovery: undefined } : readyNow(situation);
}

function rootIsOwn({ desired, record }: Situation): boolean {
  return record.rootSession === desired.devcontainerSession;
}

function readyNow(situation: Situation): RecordChange {
  const { desired, record } = situation;
  const { machineSession, contentSession, devcontainerSession } = desired;
  const boot = record.boot ?? '';
  const change: RecordChange = { ready: { boot, machineSession, contentSession, devcontainerSession } };
  return rootIsOwn(situation) ? { ...change, soundGeneration: record.generation } : change;
}

// The instance stays up with the root layer that it has: its image is right, only a command failed.
function lifecycleFailed(situation: Situation, message: string): RecordChange {
  const ready = readyNow(situation);
  if (isInRecovery(situation)) return ready;
  return { ...ready, recovery: { session: situation.desired.devcontainerSession, message } };
}

/** A step failed for good. What may be recovered from is; the rest fails the environment. */
function stepExhausted(situation: Situation): RecordChange | undefined {
  if (!isForward(situation)) return undefined;
  for (const need of forwardNeeds(situation)) {
    if (isEndless(situation, need)) continue;
    const readiness = readinessOf(situation, need, false);
    if (readiness.kind === 'exhausted') return afterExhausted(situation, need, readiness.message);
  }
  return undefined;
}

function afterExhausted(situation: Situation, need: StepNeed, message: string): RecordChange {
  const { devcontainerSession, machineSession } = situation.desired;
  if (need.step === 'lifecycle') return lifecycleFailed(situation, message);
  const recoverable = need.step === 'configuration' || need.step === 'image' || need.step === 'root';
  if (recoverable && !isInRecovery(situation) && !rootIsOwn(situation)) {
    return { recovery: { session: devcontainerSession, message } };
  }
  return { failure: { machineSession, step: need.step, message } };
}

/**
 * Whether a step is tried for ever: on the way back always, and while the environment is up everything but
 * its supervisor, since a network or pin that cannot be repaired is no reason to end a user's work.
 */
export function isEndless(situation: Situation, need: StepNeed): boolean {
  if (need.step === 'stop' || need.step === 'release') return true;
  return isReady(situation) && need.step !== 'supervisor';
}

function startTooLong(situation: Situation): RecordChange | undefined {
  const { desired, record, deadlines, nowMs } = situation;
  if (!isForward(situation) || isReady(situation)) return undefined;
  if (nowMs < record.goalSinceMs + deadlines.startMs) return undefined;
  const step = forwardNeeds(situation)[0]?.step ?? 'instance';
  const message = `The environment was not up after ${durationText(deadlines.startMs)}: ${stepTexts[step]}.`;
  return { failure: { machineSession: desired.machineSession, step, message } };
}

/** Names the next boot before it is started, so that a start whose success was not written down is known. */
function bootNamed(situation: Situation): RecordChange | undefined {
  const { desired, observed, record } = situation;
  if (!isForward(situation) || record.boot !== undefined || observed.main !== undefined) return undefined;
  if (!instanceMayStart(situation)) return undefined;
  const boots = record.boots + 1;
  return { boots, boot: `boot-${boots}`, machineSession: desired.machineSession };
}
