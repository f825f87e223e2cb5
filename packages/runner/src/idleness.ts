/** Whether an environment is idle: the facts that the supervisor and the ways in give, put to the plan. */
import { planTimeout, type EnvironmentPlan, type EnvironmentRecord } from '@atelier/reconcile';
import type { DesiredEnvironment } from '@atelier/api/atelier/runner_link';
import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { EnvironmentMemory } from './environment.ts';
import type { Observation } from './observation.ts';

/** What came of one look. */
export interface IdleLook {
  /** The decision to stop the environment, undefined while it stays on. */
  readonly idleStop: EnvironmentRecord['idleStop'];
  /** Why it is on. */
  readonly stillOn: readonly string[];
  /** When to look again, undefined when it need not be looked at. */
  readonly againInMs: number | undefined;
}

const nothingToSee: IdleLook = { idleStop: undefined, stillOn: [], againInMs: undefined };
// Activity that is not reported as a change, such as a mark, is seen by then.
const lookMs = 60_000;

/**
 * Looks at an environment that is up; any other is not idle. Without a link nobody knows what goes on inside,
 * so it is not stopped then. `record` has what the plan found: the pass that finds it to be up may be the last one.
 */
export function lookForIdleness(
  desired: DesiredEnvironment,
  memory: EnvironmentMemory,
  observation: Observation,
  plan: EnvironmentPlan,
  record: EnvironmentRecord,
  nowMs: number,
): IdleLook {
  const isUp = plan.machine === 'running' && record.ready?.boot === record.boot && record.boot !== undefined;
  if (!isUp) {
    memory.upSinceMs = undefined;
    return nothingToSee;
  }
  memory.upSinceMs ??= nowMs;
  const activity = observation.view?.status?.activity;
  if (activity === undefined) return { ...nothingToSee, againInMs: lookMs };
  const disconnected = desired.environment?.spec?.timeout?.disconnected;
  const input = activity.lastInputAt;
  const answer = planTimeout({
    timeoutMs: disconnected === undefined ? 0 : durationMs(disconnected),
    activity: {
      // A clock inside that runs ahead must not hold the environment up for ever.
      lastInputAtMs: input === undefined ? undefined : Math.min(nowMs, timestampMs(input)),
      lastMarkedAtMs: memory.lastActiveMs === 0 ? undefined : memory.lastActiveMs,
      runningTasks: activity.runningTasks,
      runningExecutions: activity.runningExecutions,
      keepAlive: activity.keepAlive,
    },
    startedAtMs: memory.upSinceMs,
    workSeenAtMs: memory.workSeenAtMs,
    nowMs,
  });
  if (answer.idle) {
    const { sinceMs, reason } = answer;
    return { idleStop: { sinceMs, reason }, stillOn: [], againInMs: 0 };
  }
  memory.workSeenAtMs = answer.workSeenAtMs;
  const { checkAgainAtMs, stillOn } = answer;
  const againInMs = checkAgainAtMs === undefined ? undefined : Math.max(1, checkAgainAtMs - nowMs);
  return { idleStop: undefined, stillOn, againInMs: againInMs && Math.min(lookMs, againInMs) };
}
