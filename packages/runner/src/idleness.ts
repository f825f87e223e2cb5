/** Whether an environment is idle: the facts that the supervisor and the ways in give, put to the plan. */
import {
  ActivityEntrySchema,
  ActivityKind,
  type ActivityEntry,
} from '@atelier/api/atelier/environment_detail';
import { happenedAt, planTimeout, type EnvironmentPlan, type EnvironmentRecord } from '@atelier/reconcile';
import type { DesiredEnvironment } from '@atelier/api/atelier/runner_link';
import { create } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { EnvironmentMemory } from './environment.ts';
import type { Observation } from './observation.ts';

/** What came of one look. */
export interface IdleLook {
  /** The decision to stop the environment, undefined while it stays on. */
  readonly idleStop: EnvironmentRecord['idleStop'];
  /** Why it is on. */
  readonly activeBecause: readonly ActivityEntry[];
  /** When it is stopped if nothing more happens; undefined when that is not known. */
  readonly idleStopAtMs: number | undefined;
  /** When to look again, undefined when it need not be looked at. */
  readonly againInMs: number | undefined;
}

/** The look at an environment that is not up. */
export const nothingToSee: IdleLook = {
  idleStop: undefined,
  activeBecause: [],
  idleStopAtMs: undefined,
  againInMs: undefined,
};
// What nobody reports as a change, such as use of the CPU and limits that were reached, is seen by then.
const lookMs = 60_000;

/** The sources of activity signals that a runner gives itself; see `status.ts`. */
export const ownSignalSources = { inside: 'environment', client: 'client' } as const;

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
  const { main } = observation.observed;
  const isUp = plan.machine === 'running' && record.ready?.boot === record.boot && record.boot !== undefined;
  if (!isUp) {
    memory.upSinceMs = undefined;
    return nothingToSee;
  }
  memory.upSinceMs ??= nowMs;
  const { usage } = observation;
  if (main !== undefined && usage !== undefined) memory.cpu.look(main.name, usage.cpuUsageMs, nowMs);
  const inside = activityInside(observation);
  if (inside === undefined) return { ...nothingToSee, againInMs: lookMs };
  const disconnected = desired.environment?.spec?.timeout?.disconnected;
  const answer = planTimeout({
    timeoutMs: disconnected === undefined ? 0 : durationMs(disconnected),
    activity: [...inside, ...seenOutside(desired, memory)],
    startedAtMs: memory.upSinceMs,
    // Its end came some time after the last look, so it counts from now.
    workSeenAtMs: memory.work.goesOn ? nowMs : memory.work.seenAtMs,
    nowMs,
  });
  if (answer.idle) {
    const { sinceMs, reason } = answer;
    return { ...nothingToSee, idleStop: { sinceMs, reason }, againInMs: 0 };
  }
  const { because, workSeenAtMs, idleStopAtMs, checkAgainAtMs } = answer;
  memory.work = { goesOn: because.some(({ lastAt }) => lastAt === undefined), seenAtMs: workSeenAtMs };
  const againInMs = checkAgainAtMs === undefined ? lookMs : Math.max(1, checkAgainAtMs - nowMs);
  return {
    idleStop: undefined,
    activeBecause: because,
    idleStopAtMs,
    againInMs: Math.min(lookMs, againInMs),
  };
}

/** What the supervisor reports; one of version 1 of its protocol says it in a form that is not known any more. */
function activityInside({ view }: Observation): readonly ActivityEntry[] | undefined {
  return view === undefined || view.protocolVersion < 2 ? undefined : view.status?.activity?.entries;
}

/** What a client, an editor and the machine show, beside what the supervisor reports. */
function seenOutside({ environment }: DesiredEnvironment, memory: EnvironmentMemory): ActivityEntry[] {
  const entries: ActivityEntry[] = [];
  const { lastActiveMs, cpu } = memory;
  if (lastActiveMs > 0) entries.push(happenedAt(ActivityKind.CLIENT, lastActiveMs));
  if (cpu.busyAtMs !== undefined) entries.push(happenedAt(ActivityKind.CPU, cpu.busyAtMs));
  const { source = '', timestamp } = environment?.status?.activitySignal ?? {};
  const isOwn = Object.values<string>(ownSignalSources).includes(source);
  if (timestamp !== undefined && !isOwn) {
    entries.push(create(ActivityEntrySchema, { kind: ActivityKind.MARK, name: source, lastAt: timestamp }));
  }
  return entries;
}
