/** How an environment's record changes: by what a plan saw, and by how a step ended. */
import type { EnvironmentRecord, PlannedStep, RecordChange, StepFailure, StepName } from './model.ts';

/** The record of an environment for which nothing was done yet. */
export function emptyRecord(nowMs: number): EnvironmentRecord {
  return { generation: 0, boots: 0, failures: {}, goalSinceMs: nowMs };
}

/** Folds a change into a record. A key that is present with the value undefined takes the value away. */
export function applyChange(record: EnvironmentRecord, change: RecordChange): EnvironmentRecord {
  const { forgetFailures = [], ...values } = change;
  const failures = { ...record.failures };
  for (const step of forgetFailures) delete failures[step];
  return { ...record, ...values, failures };
}

/** One change that does what `first` and then `second` do. */
export function mergeChanges(first: RecordChange, second: RecordChange): RecordChange {
  const forgotten = new Set<StepName>([...(first.forgetFailures ?? []), ...(second.forgetFailures ?? [])]);
  const merged = { ...first, ...second };
  return forgotten.size === 0 ? merged : { ...merged, forgetFailures: [...forgotten] };
}

/** What a step that succeeded leaves behind: an image step the digest, a content step what is missing. */
export interface StepResult {
  /** The image that was resolved and pinned; required for an image step. */
  readonly imageDigest?: string | undefined;
  /** What the content lacks and is usable without, for a person. */
  readonly contentWarning?: string | undefined;
}

/**
 * The record after a planned step succeeded: what is written down as done for its session; its failures are
 * forgotten. Losing this write means that the step is made again, which its idempotence allows.
 */
export function recordSuccess(
  record: EnvironmentRecord,
  planned: PlannedStep,
  result: StepResult = {},
): EnvironmentRecord {
  return applyChange(record, { ...doneBy(record, planned, result), forgetFailures: [planned.step] });
}

function doneBy(record: EnvironmentRecord, planned: PlannedStep, result: StepResult): RecordChange {
  switch (planned.step) {
    case 'content':
      return { contentSession: planned.session, contentWarning: result.contentWarning };
    case 'configuration':
      return { configurationSession: planned.session };
    case 'image':
      return { imageSession: planned.session, imageDigest: result.imageDigest };
    case 'root':
      return {
        rootSession: planned.session,
        rootDigest: record.imageDigest,
        generation: planned.generation ?? record.generation,
      };
    case 'instance':
      return { launchedBoot: planned.session };
    case 'stop':
      return { boot: undefined };
    default:
      return {};
  }
}

/** How an attempt at a step failed. */
export interface AttemptFailure {
  /** When the attempt began: the step's deadline counts from the first attempt's start. */
  readonly startedAtMs: number;
  /** What went wrong and what to do, for a person. */
  readonly message: string;
  /** Trying again cannot help until something changes. */
  readonly final: boolean;
}

/**
 * The record after a planned step failed. An attempt that was aborted because it was not planned any more is
 * no failure and is not recorded; one that the runner ended at its deadline is.
 */
export function recordFailure(
  record: EnvironmentRecord,
  planned: Pick<PlannedStep, 'step' | 'session'>,
  failure: AttemptFailure,
  nowMs: number,
): EnvironmentRecord {
  const earlier = record.failures[planned.step];
  const before = earlier?.session === planned.session ? earlier : undefined;
  const recorded: StepFailure = {
    session: planned.session,
    attempts: (before?.attempts ?? 0) + 1,
    firstFailedAtMs: before?.firstFailedAtMs ?? failure.startedAtMs,
    lastFailedAtMs: nowMs,
    message: failure.message,
    final: failure.final,
  };
  return { ...record, failures: { ...record.failures, [planned.step]: recorded } };
}
