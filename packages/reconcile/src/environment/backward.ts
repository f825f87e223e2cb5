/** The steps on the way back: to no instance, to stopped, to deleted. */
import { readinessOf, type StepNeed } from './backoff.ts';
import type { ReleaseTarget, StepAttempt, StepName } from './model.ts';
import { deletionSession } from './sessions.ts';
import type { Situation } from './situation.ts';

const stepsBack: readonly StepName[] = ['shutdown', 'stop', 'release'];

/**
 * The next step until no instance is left: shutdown while a supervisor is linked and its time lasts, then
 * stop, which is tried for ever. Without a link there is nobody to ask, so it is stopped at once.
 */
export function wayBackToNoInstance(situation: Situation): StepNeed[] {
  const { main, throwaway } = situation.observed;
  const shutdown = shutdownNeed(situation);
  if (shutdown !== undefined) return [shutdown];
  const session = main?.name ?? throwaway[0];
  return session === undefined ? [] : [{ step: 'stop', session }];
}

function shutdownNeed(situation: Situation): StepNeed | undefined {
  const { main, supervisor } = situation.observed;
  if (main?.state !== 'running' || supervisor === undefined || supervisor.shutDown) return undefined;
  // A deletion has less patience than the stop that it meets, so it asks again.
  const isDeletion = situation.desired.phase === 'deleted';
  const session = isDeletion ? deletionSession(supervisor.boot) : supervisor.boot;
  const need: StepNeed = { step: 'shutdown', session };
  return readinessOf(situation, need, false).kind === 'exhausted' ? undefined : need;
}

/** The steps of the way forward that were aborted and have not ended yet. */
export function stepsEnding({ observed, record, deadlines, nowMs }: Situation): readonly StepAttempt[] {
  // A step that does not end must not hold up a deletion for ever.
  if (nowMs >= record.goalSinceMs + deadlines.stopMs) return [];
  return observed.running.filter(({ step }) => !stepsBack.includes(step));
}

/** The next step on the way to stopped: nothing is removed before the aborted steps have ended. */
export function stopNeeds(situation: Situation): StepNeed[] {
  return releaseNeeds(situation, 'stopped', situation.observed.network ? [{ kind: 'network' }] : []);
}

/** The next step on the way to deleted. */
export function deleteNeeds(situation: Situation): StepNeed[] {
  const { network, disk, pinnedDigest } = situation.observed;
  const release: ReleaseTarget[] = [];
  if (network) release.push({ kind: 'network' });
  if (disk !== undefined) release.push({ kind: 'disk' });
  if (pinnedDigest !== undefined) release.push({ kind: 'pin' });
  return releaseNeeds(situation, 'deleted', release);
}

function releaseNeeds(situation: Situation, session: string, release: readonly ReleaseTarget[]): StepNeed[] {
  const first = wayBackToNoInstance(situation);
  if (first.length > 0) return first;
  if (release.length === 0 || stepsEnding(situation).length > 0) return [];
  return [{ step: 'release', session, release }];
}
