/** What is measured of Atelier: through the public client, as a program of a user would. */
import { AtelierError, toAtelierError } from '@atelier/api';
import { EnvironmentPhase, EnvironmentService, type Environment } from '@atelier/api/gitpod/environment';
import { runProcess, type AtelierClient } from '@atelier/sdk';
import { firstCommand } from './peers/podman.ts';

const waitMsMax = 300_000;

/** An environment that was made, and how long its first command's first byte took. */
export interface Made {
  readonly id: string;
  readonly tookMs: number;
}

/** From nothing to the first byte of the first command; with a folder, its content is in the workspace. */
export async function createToFirstByte(client: AtelierClient, folder?: string): Promise<Made> {
  const content = folder && {
    initializer: { specs: [{ spec: { case: 'contextUrl' as const, value: { url: `file://${folder}` } } }] },
  };
  const startedMs = performance.now();
  const { id } = await client.environments.create({ spec: content ? { content } : {} });
  await waitForRunning(client, id);
  const tookMs = (await firstByteAt(client, id)) - startedMs;
  return { id, tookMs };
}

/** From a stopped environment to the first byte of a command. */
export async function startToFirstByte(client: AtelierClient, environmentId: string): Promise<number> {
  const startedMs = performance.now();
  await client.service(EnvironmentService).startEnvironment({ environmentId });
  await waitForRunning(client, environmentId);
  return (await firstByteAt(client, environmentId)) - startedMs;
}

/** The time until a command inside has ended and its output is here. */
export async function roundTrip(client: AtelierClient, environmentId: string): Promise<number> {
  const startedMs = performance.now();
  await firstByteAt(client, environmentId);
  return performance.now() - startedMs;
}

/** Waits for the environment to run. Errors: `internal` with its own words when it failed. */
export async function waitForRunning(client: AtelierClient, environmentId: string): Promise<Environment> {
  return waitFor(client, environmentId, (environment) => {
    const failed = environment.status?.failureMessage ?? [];
    if (failed.length > 0) throw new AtelierError('internal', `environment failed: ${failed.join('; ')}`);
    return environment.status?.phase === EnvironmentPhase.RUNNING;
  });
}

/** Stops an environment and waits until it has. */
export async function stop(client: AtelierClient, environmentId: string): Promise<void> {
  await client.service(EnvironmentService).stopEnvironment({ environmentId });
  await waitFor(client, environmentId, ({ status }) => status?.phase === EnvironmentPhase.STOPPED);
}

/** Deletes an environment and waits until nothing of it is left. */
export async function remove(client: AtelierClient, environmentId: string): Promise<void> {
  try {
    await client.service(EnvironmentService).deleteEnvironment({ environmentId });
    await client.environments.waitFor(environmentId, (view) => (view.environment ? undefined : true), {
      signal: AbortSignal.timeout(waitMsMax),
    });
  } catch (thrown) {
    if (toAtelierError(thrown).code !== 'not_found') throw thrown;
  }
}

function waitFor(
  client: AtelierClient,
  environmentId: string,
  isReached: (environment: Environment) => boolean,
): Promise<Environment> {
  return client.environments.waitFor(
    environmentId,
    ({ environment }) => {
      if (environment === undefined) throw new AtelierError('internal', 'the environment vanished');
      return isReached(environment) ? environment : undefined;
    },
    { signal: AbortSignal.timeout(waitMsMax) },
  );
}

/** Runs the first command to its end; gives when its first byte came. */
async function firstByteAt(client: AtelierClient, environmentId: string): Promise<number> {
  let atMs: number | undefined;
  const process = runProcess(client, environmentId, {
    arguments: [...firstCommand],
    onOutput: () => {
      atMs ??= performance.now();
    },
  });
  const { exitCode, failureMessage } = await process.ended;
  if (atMs !== undefined && exitCode === 0) return atMs;
  throw new AtelierError('internal', `the command inside ended with ${exitCode}: ${failureMessage}`);
}
