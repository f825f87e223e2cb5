/** What follows from desired and observed state alone: the questions that all rules of the plan ask. */
import type {
  EnvironmentDeadlines,
  EnvironmentDesired,
  EnvironmentObserved,
  EnvironmentRecord,
} from './model.ts';
import { recoverySession } from './sessions.ts';

/** Everything that a rule of the plan may look at. */
export interface Situation {
  readonly desired: EnvironmentDesired;
  readonly observed: EnvironmentObserved;
  /** The record with the changes that this plan has already found necessary. */
  readonly record: EnvironmentRecord;
  readonly deadlines: EnvironmentDeadlines;
  readonly nowMs: number;
}

/** Where the environment is to go now: the wish, unless it failed or was idle for too long. */
export type Way = EnvironmentDesired['phase'];

/** Where the environment is to go now. A failure and an idle stop hold for one machine session. */
export function wayOf(desired: EnvironmentDesired, record: EnvironmentRecord): Way {
  if (desired.phase !== 'running') return desired.phase;
  if (isFailed(desired, record) || isIdleStopped(desired, record)) return 'stopped';
  return 'running';
}

/** Whether the environment failed for good in the machine session that is wished for. */
export function isFailed(desired: EnvironmentDesired, record: EnvironmentRecord): boolean {
  return record.failure?.machineSession === desired.machineSession;
}

/** Whether the runner's own decision to stop holds: until a stop is wished or the machine session changes. */
export function isIdleStopped(desired: EnvironmentDesired, record: EnvironmentRecord): boolean {
  return (
    record.idleStop !== undefined &&
    desired.phase === 'running' &&
    record.machineSession === desired.machineSession
  );
}

/** Whether the workspace holds the content that is wished for. */
export function contentIsMade({ desired, observed, record }: Situation): boolean {
  return observed.disk !== undefined && record.contentSession === desired.contentSession;
}

/** Whether the dev container that is wished for failed. */
export function isInRecovery({ desired, record }: Situation): boolean {
  return record.recovery?.session === desired.devcontainerSession;
}

/** Whether the base image takes the place of the dev container's: it failed before its root layer was there. */
export function usesBaseImage(situation: Situation): boolean {
  return isInRecovery(situation) && situation.record.rootSession !== situation.desired.devcontainerSession;
}

/** The session that image and root layer are to be made for. */
export function rootSessionWanted(situation: Situation): string {
  const { devcontainerSession } = situation.desired;
  return usesBaseImage(situation) ? recoverySession(devcontainerSession) : devcontainerSession;
}

/** Whether the configuration that is wished for was read, or is not needed because the base image is used. */
export function configurationIsRead(situation: Situation): boolean {
  const { desired, record } = situation;
  return usesBaseImage(situation) || record.configurationSession === desired.devcontainerSession;
}

/** Whether the image that is wished for was resolved, is here and is pinned. */
export function imageIsHere(situation: Situation): boolean {
  const { observed, record } = situation;
  return (
    record.imageSession === rootSessionWanted(situation) &&
    record.imageDigest !== undefined &&
    observed.pinnedDigest === record.imageDigest &&
    observed.imagePresent
  );
}

/** Whether the root layer in use is the one that is wished for. */
export function rootIsMade(situation: Situation): boolean {
  const { observed, record } = situation;
  return (
    record.rootSession === rootSessionWanted(situation) &&
    record.rootDigest === record.imageDigest &&
    (observed.disk?.generations.includes(record.generation) ?? false)
  );
}

/**
 * Whether the main instance that was found has to go before the way leads on: it is of another machine
 * session or unknown, content has to be made under it, or a new root layer waits for it.
 */
export function mainIsInTheWay(situation: Situation): boolean {
  const { desired, observed, record } = situation;
  if (observed.main === undefined) return false;
  return (
    record.boot === undefined ||
    record.machineSession !== desired.machineSession ||
    !contentIsMade(situation) ||
    (rootIsMade(situation) && observed.main.generation !== record.generation)
  );
}

/** Whether the supervisor of the present boot is linked and has the desired state. */
export function supervisorIsApplied({ observed, record }: Situation): boolean {
  const { supervisor } = observed;
  return supervisor !== undefined && supervisor.boot === record.boot && supervisor.applied;
}

/** Whether the present boot was fully up for all that is wished. */
export function isReady({ desired, observed, record }: Situation): boolean {
  const { ready } = record;
  return (
    ready !== undefined &&
    observed.main?.state === 'running' &&
    observed.main.generation === record.generation &&
    ready.boot === record.boot &&
    ready.machineSession === desired.machineSession &&
    ready.contentSession === desired.contentSession &&
    ready.devcontainerSession === desired.devcontainerSession
  );
}

/** Whether the environment was up in this machine session and content or dev container are being made anew. */
export function isUpdating({ desired, record }: Situation): boolean {
  const { ready } = record;
  return (
    ready !== undefined &&
    ready.machineSession === desired.machineSession &&
    (ready.contentSession !== desired.contentSession ||
      ready.devcontainerSession !== desired.devcontainerSession)
  );
}
