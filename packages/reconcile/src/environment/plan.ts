/** The one plan of an environment's life: create, start, stop, rebuild, crash, delete all enter here. */
import { isEndless, changeRules } from './changes.ts';
import { plannedStep, readinessOf, type Readiness, type StepNeed } from './backoff.ts';
import { deleteNeeds, stepsEnding, stopNeeds } from './backward.ts';
import { forwardNeeds } from './forward.ts';
import type {
  EnvironmentDeadlines,
  EnvironmentDesired,
  EnvironmentObserved,
  EnvironmentPlan,
  PlannedStep,
  RecordChange,
} from './model.ts';
import { reasonOf } from './reason.ts';
import { applyChange, mergeChanges } from './record.ts';
import { isReady, wayOf, type Situation, type Way } from './situation.ts';
import { standingOf } from './standing.ts';

// More than the rules can need: a defect in one of them must show and not hang.
const changesMax = 32;

/**
 * What is to be done for an environment now. First the record is brought up to date with what was seen, then
 * the steps follow from desired, observed and record alone.
 *
 * Running: disk and network at once; content when both are there; then configuration, image and root layer;
 * then the instance under a new boot name, its supervisor, and the commands that have to be waited for.
 * - Another machine session while it runs: shutdown, stop, start.
 * - Another dev container session (rebuild): configuration, image and root layer while the old instance
 *   runs, then shutdown, stop, start on the new layer; the old layer goes when the new instance is up.
 * - Another content session: shutdown, stop, content anew (the content step clears the workspace).
 * - An instance that ended by itself is started again under a new boot name, three times within ten minutes.
 * - A disk without any record is never cleared: its content counts as made.
 *
 * Failures: a step is tried again after 1 s, doubling to 30 s, until its deadline has passed since its first
 * attempt that failed began; a final failure ends it at once, and so does the fifth of a step that somebody
 * else's server decides about. Then
 * - configuration, image, root layer: recovery, the environment runs on the base image and its dev container
 *   is failed with the message, until the next rebuild; the root layer that a failed rebuild was to replace is
 *   kept until then;
 * - life-cycle commands: the same, but on the root layer that it has, since that is sound;
 * - everything else, a wrong repository included, and the whole deadline: the environment fails: it goes to
 *   stopped with the message, and another machine session tries again. There is nothing to recover in.
 * While it is up, only the loss of its supervisor can fail it; the rest is tried for ever.
 *
 * Stopped and deleted: shutdown until its deadline, which is shorter for a deletion also when it meets a stop
 * that goes on, then stop, then release; the latter two for ever, the overdue is in the reason. Nothing is
 * released before the steps that were aborted have ended.
 */
export function planEnvironment(
  desired: EnvironmentDesired,
  observed: EnvironmentObserved,
  deadlines: EnvironmentDeadlines,
  nowMs: number,
): EnvironmentPlan {
  const { situation, change } = withChanges({ desired, observed, record: observed.record, deadlines, nowMs });
  const way = wayOf(desired, situation.record);
  const needs = needsOf(situation, way);
  const readiness = needs.map((need) => readinessOf(situation, need, isEndless(situation, need)));
  const standing = standingOf(situation, way, needs);
  const settled = needs.length === 0 && observed.running.length === 0;
  const deadlineMs = settled ? undefined : phaseDeadlineMs(situation, way);
  const steps = needs.flatMap((need, index) => stepNow(need, readiness[index]));
  return {
    recordChange: change,
    steps,
    wakeAtMs: settled ? undefined : earliest(situation, deadlineMs, readiness),
    settled,
    ...standing,
    reason: reasonOf(situation, way, needs, readiness),
    failureMessage: situation.record.failure?.message ?? '',
    deadlineMs,
  };
}

function withChanges(start: Situation): { situation: Situation; change: RecordChange } {
  let situation = start;
  let change: RecordChange = {};
  for (let round = 0; round < changesMax; round += 1) {
    const next = changeRules.reduce<RecordChange | undefined>(
      (found, rule) => found ?? rule(situation),
      undefined,
    );
    if (next === undefined) break;
    change = mergeChanges(change, next);
    situation = { ...situation, record: applyChange(situation.record, next) };
  }
  return { situation, change };
}

function needsOf(situation: Situation, way: Way): StepNeed[] {
  if (way === 'running') return forwardNeeds(situation);
  return way === 'stopped' ? stopNeeds(situation) : deleteNeeds(situation);
}

function stepNow(need: StepNeed, readiness: Readiness | undefined): PlannedStep[] {
  if (readiness?.kind !== 'now') return [];
  return [plannedStep(need, readiness.attempt, readiness.deadlineMs)];
}

function phaseDeadlineMs(situation: Situation, way: Way): number | undefined {
  const { record, deadlines } = situation;
  if (way === 'deleted') return record.goalSinceMs + deadlines.deleteMs;
  if (way === 'stopped') return record.goalSinceMs + deadlines.stopMs;
  return isReady(situation) ? undefined : record.goalSinceMs + deadlines.startMs;
}

function earliest(
  situation: Situation,
  phaseDeadline: number | undefined,
  readiness: readonly Readiness[],
): number | undefined {
  const { record, deadlines, nowMs } = situation;
  const times = readiness.flatMap((each) =>
    each.kind === 'now' ? [each.deadlineMs] : each.kind === 'later' ? [each.atMs] : [],
  );
  if (phaseDeadline !== undefined) times.push(phaseDeadline);
  if (stepsEnding(situation).length > 0) times.push(record.goalSinceMs + deadlines.stopMs);
  // A deadline that has passed and has no consequence any more is no time to look again.
  const ahead = times.filter((timeMs) => timeMs > nowMs);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}
