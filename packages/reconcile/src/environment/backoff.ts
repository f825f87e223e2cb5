/** When a step may be tried, tried again, or not any more. */
import type { PlannedStep, StepName } from './model.ts';
import type { Situation } from './situation.ts';

const backoffInitialMs = 1000;
const backoffMaxMs = 30_000;

/**
 * How often a step is tried that somebody else's server decides about. One that still refuses after these
 * pauses will most likely refuse for long, and a person waits for the answer.
 */
const attemptsMax: Partial<Record<StepName, number>> = { content: 5, configuration: 5, image: 5 };

/** A step that the environment's situation asks for, before its earlier failures are looked at. */
export interface StepNeed extends Pick<PlannedStep, 'step' | 'session'> {
  readonly generation?: number | undefined;
  readonly recovery?: boolean | undefined;
  readonly release?: PlannedStep['release'] | undefined;
}

/** Whether a needed step runs now, has to wait, or has used up its time. */
export type Readiness =
  | { readonly kind: 'now'; readonly attempt: number; readonly deadlineMs: number }
  | { readonly kind: 'later'; readonly attempt: number; readonly atMs: number; readonly message: string }
  | { readonly kind: 'exhausted'; readonly message: string };

/** The pause after that many failed attempts: 1 s, doubling to 30 s. */
export function backoffMs(attempts: number): number {
  return Math.min(backoffMaxMs, backoffInitialMs * 2 ** Math.min(attempts - 1, 10));
}

/**
 * Says where a needed step stands: `exhausted` when it failed for good or too often, or when its deadline
 * has passed since its first attempt that failed began (or since the attempt that runs now began). With
 * `endless` it is never given up: after its deadline an attempt is ended and made again with backoff.
 */
export function readinessOf(situation: Situation, need: StepNeed, endless: boolean): Readiness {
  const { record, observed, nowMs } = situation;
  const limitMs = stepLimitMs(situation, need);
  const recorded = record.failures[need.step];
  const failure = recorded?.session === need.session ? recorded : undefined;
  const running = observed.running.find((each) => each.step === need.step && each.session === need.session);
  const attempt = (failure?.attempts ?? 0) + 1;
  const startedAtMs = running?.startedAtMs ?? nowMs;
  const deadlineMs = (endless ? startedAtMs : (failure?.firstFailedAtMs ?? startedAtMs)) + limitMs;
  if (!endless && failure?.final === true) return { kind: 'exhausted', message: failure.message };
  if (!endless && running === undefined && (failure?.attempts ?? 0) >= (attemptsMax[need.step] ?? Infinity)) {
    const message = `${failure?.message ?? ''}\nIt was tried ${failure?.attempts ?? 0} times.`;
    return { kind: 'exhausted', message };
  }
  if (nowMs >= deadlineMs) {
    const message = failure?.message ?? `It took longer than ${durationText(limitMs)}.`;
    if (!endless) return { kind: 'exhausted', message };
    return { kind: 'later', attempt, atMs: nowMs + backoffMs(attempt), message };
  }
  const againAtMs = failure === undefined ? nowMs : failure.lastFailedAtMs + backoffMs(failure.attempts);
  if (failure !== undefined && running === undefined && againAtMs > nowMs) {
    return { kind: 'later', attempt, atMs: againAtMs, message: failure.message };
  }
  return { kind: 'now', attempt, deadlineMs };
}

// A supervisor that was up is waited for longer than one that starts: what runs inside would end with it.
function stepLimitMs({ deadlines, desired, record }: Situation, need: StepNeed): number {
  if (need.step === 'shutdown' && desired.phase === 'deleted') return deadlines.deletedShutdownMs;
  const wasUp = need.step === 'supervisor' && record.ready?.boot === need.session;
  return wasUp ? deadlines.linkLostMs : deadlines.steps[need.step];
}

/** The planned form of a need that may run now. */
export function plannedStep(need: StepNeed, attempt: number, deadlineMs: number): PlannedStep {
  const { step, session, generation } = need;
  const planned = { step, session, attempt, deadlineMs };
  const rest = { recovery: need.recovery ?? false, release: need.release ?? [] };
  return generation === undefined ? { ...planned, ...rest } : { ...planned, generation, ...rest };
}

const longUnits = [
  { name: 'hour', ms: 3_600_000 },
  { name: 'minute', ms: 60_000 },
  { name: 'second', ms: 1000 },
] as const;

/** A duration for a person, in the largest unit that it is a whole number of: `3 hours`, `150 seconds`. */
export function durationText(durationMs: number): string {
  const unit = longUnits.find(({ ms }) => durationMs >= ms && durationMs % ms === 0);
  if (unit === undefined) return `${durationMs} milliseconds`;
  const count = durationMs / unit.ms;
  return `${count} ${unit.name}${count === 1 ? '' : 's'}`;
}

/** What a step is doing, as the middle of a sentence: "the image is being prepared". */
export const stepTexts: Readonly<Record<StepName, string>> = {
  disk: 'the disk is being made',
  content: 'the content is being made',
  configuration: 'the configuration is being read',
  image: 'the image is being prepared',
  root: 'the root layer is being made',
  network: 'the network is being attached',
  instance: 'the instance is being started',
  supervisor: 'the supervisor is waited for',
  lifecycle: 'the life-cycle commands run',
  shutdown: 'what runs inside is being shut down',
  stop: 'the instance is being stopped',
  release: 'what is not needed any more is being removed',
};
