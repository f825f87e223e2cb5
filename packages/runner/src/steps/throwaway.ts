/**
 * Throw-away instances: the base image with the workspace, for what foreign content makes run. No host
 * program ever runs on content.
 */
import { AtelierError, instanceName, type InstancePart } from '@atelier/api';
import type { InstanceMount, SupervisorLink } from '@atelier/driver';
import type { Transport } from '@connectrpc/connect';
import { hostnameOf } from '../inside.ts';
import { throwawayLimits } from '../limits.ts';
import { runProcess, type ProcessEnd } from '../supervisor-client/process.ts';
import type { StepContext } from './step.ts';

/** A throw-away instance that runs. */
export interface Throwaway {
  readonly transport: Transport;
  /** Runs a program as root and waits for its end. */
  run(command: ThrowawayCommand): Promise<ProcessEnd>;
}

/** A program to run in a throw-away instance. */
export interface ThrowawayCommand {
  readonly arguments: readonly string[];
  readonly workingDirectory: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly onOutput?: (text: string) => void;
}

/** Names the only generation of a throw-away instance: what a killed runner left behind has the same name. */
const generation = 1;

/** The name of the throw-away instance of a part. */
export function throwawayName(environmentId: string, part: InstancePart): string {
  return instanceName(environmentId, part, generation);
}

/**
 * Starts the instance, does the work and removes the instance, whatever happens. One that an earlier process
 * left behind is removed first.
 */
export async function inThrowaway<T>(
  context: StepContext,
  part: Exclude<InstancePart, 'main'>,
  mounts: readonly InstanceMount[],
  signal: AbortSignal,
  work: (throwaway: Throwaway) => Promise<T>,
): Promise<T> {
  const { driver } = context.parts;
  const { environmentId } = context;
  const name = throwawayName(environmentId, part);
  const image = await driver.images.ensure({ kind: 'base' }, context.progress, signal);
  await driver.images.pin(image.digest, name);
  try {
    await driver.instances.remove(name);
    const link = firstLink(signal);
    const listening = await driver.instances.listen(name, link.take);
    try {
      await driver.instances.start({
        name,
        environmentId,
        root: { kind: 'image', digest: image.digest },
        mounts,
        network: 'attached',
        environment: { ATELIER_BOOT: name },
        hostname: hostnameOf(context.desired.environment),
        limits: throwawayLimits(context.parts),
      });
      return await work(throwawayOn((await link.taken).transport, name, signal));
    } finally {
      link.close();
      await listening.close();
    }
  } finally {
    await driver.instances.remove(name);
    await driver.images.unpin(name);
  }
}

function throwawayOn(transport: Transport, name: string, signal: AbortSignal): Throwaway {
  let count = 0;
  return {
    transport,
    run({ arguments: words, workingDirectory, environment = {}, onOutput }) {
      count += 1;
      const run = {
        processId: `${name}-${count}`,
        arguments: words,
        workingDirectory,
        environment,
        user: 'root',
      };
      return runProcess(transport, onOutput === undefined ? run : { ...run, onOutput }, signal);
    },
  };
}

function firstLink(signal: AbortSignal): {
  take: (link: SupervisorLink) => void;
  taken: Promise<SupervisorLink>;
  close: () => void;
} {
  let resolve: (link: SupervisorLink) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  let link: SupervisorLink | undefined;
  const taken = new Promise<SupervisorLink>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  taken.catch(() => undefined);
  const abort = (): void =>
    reject(new AtelierError('canceled', 'The throw-away instance is not wanted any more.'));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return {
    take(next) {
      // A supervisor that dials again has lost what ran on the first link; the step is made anew.
      if (link !== undefined) return next.close();
      link = next;
      resolve(next);
    },
    taken,
    close() {
      signal.removeEventListener('abort', abort);
      link?.close();
    },
  };
}
