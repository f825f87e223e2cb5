/** Waiting for an environment's phase with one line of progress. */
import { AtelierError } from '@atelier/api';
import { EnvironmentPhase, type Environment } from '@atelier/api/gitpod/environment';
import type { AtelierClient, EnvironmentView } from '@atelier/sdk';
import type { CommandContext } from './context.ts';
import { ownEnding } from './ending.ts';

/** What is waited for, and what is said meanwhile. */
export interface PhaseWait {
  readonly label: string;
  readonly wanted: EnvironmentPhase;
  /** Said when the person does not want to wait any longer. */
  readonly goesOn: string;
}

/**
 * Waits until the environment has the phase; one that is gone has the phase DELETED and is given as undefined.
 * Errors: `failed_precondition` when somebody wants something else of it meanwhile, `canceled` by Ctrl-C.
 */
export async function waitForPhase(
  { system, progress, note }: CommandContext,
  client: AtelierClient,
  environmentId: string,
  { label, wanted, goesOn }: PhaseWait,
): Promise<Environment | undefined> {
  const startedAtMs = system.clock.nowMs();
  const ending = ownEnding(system);
  const show = (state: 'running' | 'succeeded', message = ''): void => {
    const tookMs = system.clock.nowMs() - startedAtMs;
    progress.update([
      { key: label, label, state, startedAtMs, message, ...(state === 'succeeded' && { tookMs }) },
    ]);
  };
  try {
    const end = await client.environments.waitFor(environmentId, (view) => arrival(view, wanted), {
      signal: ending.signal,
      onChange: ({ environment }) => show('running', environment?.status?.detail?.reason),
    });
    show('succeeded');
    return end.environment;
  } catch (thrown) {
    if (ending.signal.aborted) note(goesOn);
    throw thrown;
  } finally {
    progress.end();
    ending.dispose();
  }
}

function arrival(
  { environment }: EnvironmentView,
  wanted: EnvironmentPhase,
): { environment?: Environment } | undefined {
  if (!environment) return {};
  if (environment.status?.phase === wanted) return { environment };
  const desired = environment.spec?.desiredPhase ?? EnvironmentPhase.UNSPECIFIED;
  if (desired === wanted || desired === EnvironmentPhase.UNSPECIFIED) return undefined;
  const message = `somebody wants the environment to be ${EnvironmentPhase[desired].toLowerCase()} now`;
  throw new AtelierError('failed_precondition', message);
}
