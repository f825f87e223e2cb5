/** When an environment counts as idle. */
import {
  ActivityEntrySchema,
  ActivityKind,
  type ActivityEntry,
} from '@atelier/api/atelier/environment_detail';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';

/** What the plan of a timeout reads. Times are milliseconds since the epoch. */
export interface TimeoutFacts {
  /** How long without activity; 0 means never. */
  readonly timeoutMs: number;
  /** What was seen: an entry without `lastAt` goes on now. */
  readonly activity: readonly ActivityEntry[];
  /** When the environment was up: a start is an activity. */
  readonly startedAtMs: number;
  /** The latest `workSeenAtMs` of earlier answers: after long work the whole timeout begins. */
  readonly workSeenAtMs?: number | undefined;
  readonly nowMs: number;
}

/** Whether the environment is idle, and why it is not. */
export type TimeoutPlan =
  | {
      readonly idle: false;
      /** What holds it, what goes on before what happened, the latest first. Without a timeout, what would. */
      readonly because: readonly ActivityEntry[];
      /** When it is stopped if nothing more happens; undefined while work goes on and without a timeout. */
      readonly idleStopAtMs: number | undefined;
      /** Keep it for the next call: when work that has no time of its own was last seen. */
      readonly workSeenAtMs: number | undefined;
      /** Ask again then, if no activity is reported before; undefined: only a change of the timeout matters. */
      readonly checkAgainAtMs: number | undefined;
    }
  | { readonly idle: true; readonly sinceMs: number; readonly reason: string };

// Work that goes on is looked at again this often, whatever the timeout: its end is not always reported.
const workCheckMs = 60_000;

/**
 * Decides about idleness. What goes on holds an environment up as long as it does: tasks, commands that a client
 * waits for, keep-alive. What happened holds it for `timeoutMs`: input, output that somebody looks at, marks of
 * editors, use of the CPU, its start. Nobody reports services, background processes and open connections as such:
 * a forgotten one would hold it for ever, and when it works, the CPU shows it.
 */
export function planTimeout(facts: TimeoutFacts): TimeoutPlan {
  const { timeoutMs, nowMs } = facts;
  const work = facts.activity.filter(({ lastAt }) => lastAt === undefined);
  const workSeenAtMs = work.length > 0 ? nowMs : facts.workSeenAtMs;
  const happened = momentsOf(facts);
  if (timeoutMs === 0) {
    const because = [...work, ...happened.map(({ entry }) => entry)];
    return { idle: false, because, idleStopAtMs: undefined, workSeenAtMs, checkAgainAtMs: undefined };
  }
  const lastMs = Math.max(...happened.map(({ atMs }) => atMs), workSeenAtMs ?? 0);
  const endMs = lastMs + timeoutMs;
  if (nowMs >= endMs) {
    const minutes = Math.round(timeoutMs / 60_000);
    return { idle: true, sinceMs: lastMs, reason: `There was no activity for ${minutes} minutes.` };
  }
  const recent = happened.filter(({ atMs }) => nowMs < atMs + timeoutMs).map(({ entry }) => entry);
  const goesOn = work.length > 0;
  return {
    idle: false,
    because: [...work, ...recent],
    idleStopAtMs: goesOn ? undefined : endMs,
    workSeenAtMs,
    checkAgainAtMs: goesOn ? nowMs + workCheckMs : endMs,
  };
}

/** What has a time, the latest first; nothing is later than now, whatever a clock inside says. */
function momentsOf(facts: TimeoutFacts): { readonly entry: ActivityEntry; readonly atMs: number }[] {
  const { activity, startedAtMs, workSeenAtMs, nowMs } = facts;
  const own = [happenedAt(ActivityKind.START, startedAtMs)];
  const worksNow = activity.some(({ lastAt }) => lastAt === undefined);
  if (workSeenAtMs !== undefined && !worksNow) own.push(happenedAt(ActivityKind.ENDED_WORK, workSeenAtMs));
  return [...activity, ...own]
    .flatMap((entry) => (entry.lastAt === undefined ? [] : [{ entry, atMs: timestampMs(entry.lastAt) }]))
    .map(({ entry, atMs }) =>
      atMs <= nowMs ? { entry, atMs } : { entry: { ...entry, lastAt: timestampFromMs(nowMs) }, atMs: nowMs },
    )
    .sort((one, other) => other.atMs - one.atMs);
}

/** An entry for something that happened and has no name. */
export function happenedAt(kind: ActivityKind, atMs: number): ActivityEntry {
  return create(ActivityEntrySchema, { kind, lastAt: timestampFromMs(atMs) });
}
