/** Which runner an environment goes to. */
import type { Environment } from '@atelier/api/gitpod/environment';
import type { EnvironmentClass } from '@atelier/api/gitpod/environment_class';
import { RunnerPhase, type Runner } from '@atelier/api/gitpod/runner';
import { timestampMs } from '@bufbuild/protobuf/wkt';

/** A runner as placement sees it. */
export interface PlacementRunner {
  readonly runner: Runner;
  /** Whether its link to the plane is up now. */
  readonly connected: boolean;
}

/** Where an environment goes, or why it has to wait. */
export type PlacementPlan =
  | { readonly kind: 'placed'; readonly runnerId: string; readonly environmentClassId: string }
  /** No runner can take it now. Look again when a runner or class changes, and at the deadline. */
  | { readonly kind: 'waiting'; readonly reason: string; readonly deadlineMs: number }
  /** The deadline passed. It is placed all the same as soon as a runner can take it. */
  | { readonly kind: 'failed'; readonly failureMessage: string };

/** How long an environment waits for a runner before it says that it failed. */
export const placementDeadlineMs = 300_000;

interface Candidate {
  readonly runnerId: string;
  readonly environmentClassId: string;
}

/**
 * Picks the runner for an environment that has none: it is ACTIVE and connected and has the environment's
 * class, enabled; without a class in the spec any runner with an enabled class will do, with its first one in
 * the order of `classes`. Of several the one with the lowest load (environments on it, by runner id; absent
 * means none), then the lowest id. The wait counts from the creation or the last start, whichever is later.
 */
export function planPlacement(
  environment: Environment,
  runners: readonly PlacementRunner[],
  classes: readonly EnvironmentClass[],
  load: ReadonlyMap<string, number>,
  nowMs: number,
): PlacementPlan {
  const classId = environment.spec?.machine?.class ?? '';
  const usable = runners.filter(({ runner, connected }) => connected && isActive(runner));
  const candidates = usable.flatMap(({ runner }): Candidate[] => {
    const found = classes.find(
      (each) => each.enabled && each.runnerId === runner.runnerId && (classId === '' || each.id === classId),
    );
    return found === undefined ? [] : [{ runnerId: runner.runnerId, environmentClassId: found.id }];
  });
  const loadOf = ({ runnerId }: Candidate): number => load.get(runnerId) ?? 0;
  const [best] = candidates.sort(
    (left, right) => loadOf(left) - loadOf(right) || (left.runnerId < right.runnerId ? -1 : 1),
  );
  if (best !== undefined) return { kind: 'placed', ...best };
  const reason = waitReason(classId, runners, classes);
  const deadlineMs = waitingSinceMs(environment) + placementDeadlineMs;
  return nowMs < deadlineMs
    ? { kind: 'waiting', reason, deadlineMs }
    : { kind: 'failed', failureMessage: reason };
}

function isActive({ status }: Runner): boolean {
  return status?.phase === RunnerPhase.ACTIVE;
}

function waitingSinceMs({ metadata }: Environment): number {
  const times = [metadata?.createdAt, metadata?.lastStartedAt];
  return Math.max(0, ...times.map((time) => (time === undefined ? 0 : timestampMs(time))));
}

function waitReason(
  classId: string,
  runners: readonly PlacementRunner[],
  classes: readonly EnvironmentClass[],
): string {
  if (runners.length === 0) return 'There is no runner. Add one, then the environment starts.';
  if (classId === '') {
    const offered = new Set(classes.filter(({ enabled }) => enabled).map(({ runnerId }) => runnerId));
    const offering = runners.filter(({ runner }) => offered.has(runner.runnerId));
    return offering.length === 0
      ? 'No runner has an enabled environment class. Enable one.'
      : `No runner is ready: ${offering.map(stateText).join(', ')}.`;
  }
  const wanted = classes.find(({ id }) => id === classId);
  if (wanted === undefined) return `There is no environment class ${classId}. Choose another one.`;
  if (!wanted.enabled)
    return `The environment class ${nameOf(wanted)} is disabled. Enable it or choose another one.`;
  const owner = runners.find(({ runner }) => runner.runnerId === wanted.runnerId);
  if (owner === undefined)
    return `The runner of the environment class ${nameOf(wanted)} is gone. Choose another class.`;
  return `The runner of the environment class ${nameOf(wanted)} is not ready: ${stateText(owner)}.`;
}

function nameOf({ displayName, id }: EnvironmentClass): string {
  return displayName === '' ? id : displayName;
}

function stateText({ runner, connected }: PlacementRunner): string {
  const name = runner.name === '' ? runner.runnerId : runner.name;
  return `${name} is ${connected ? 'connected but not active' : 'not connected'}`;
}
