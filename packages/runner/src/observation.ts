/** What is on the machine for one environment, read anew in each pass. */
import { parseInstanceName } from '@atelier/api';
import type { DesiredEnvironment } from '@atelier/api/atelier/runner_link';
import type { Driver, Image, Instance, InstanceUsage, Network } from '@atelier/driver';
import type { EnvironmentObserved, EnvironmentRecord } from '@atelier/reconcile';
import { loadInside, type EnvironmentMemory, type LoadedInside, type RunnerParts } from './environment.ts';
import { lifecycleFacts, supervisorSpecOf } from './inside.ts';
import type { SupervisorView } from './supervisor-client/supervisor-client.ts';

/** What was found, and what the status is made of beside it. */
export interface Observation {
  readonly observed: EnvironmentObserved;
  readonly loaded: LoadedInside;
  readonly view: SupervisorView | undefined;
  readonly network: Network | undefined;
  /** Counters of the main instance while it runs. */
  readonly usage: InstanceUsage | undefined;
}

/** The driver's lists, each read at most once for all passes that ask while the last reading goes on. */
export interface MachineLists {
  instances(): Promise<Instance[]>;
  networks(): Promise<Network[]>;
  pins(): Promise<ReadonlyMap<string, string>>;
}

/** Lists over a driver: an answer was never read before it was asked for. */
export function machineLists(driver: Driver): MachineLists {
  return {
    instances: joined(() => driver.instances.list()),
    networks: joined(() => driver.networks.list()),
    pins: joined(() => driver.images.listPins()),
  };
}

// Whoever asks during a reading gets the next one, together with all others who do.
function joined<T>(read: () => Promise<T>): () => Promise<T> {
  let current: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;
  return () => {
    next ??= (current ?? Promise.resolve()).then(
      () => begin(),
      () => begin(),
    );
    return next;
  };
  function begin(): Promise<T> {
    next = undefined;
    const reading = read();
    current = reading;
    return reading;
  }
}

/** Reads everything about one environment. A running main instance is listened to from then on. */
export async function observe(
  parts: RunnerParts,
  lists: MachineLists,
  memory: EnvironmentMemory,
  desired: DesiredEnvironment,
  record: EnvironmentRecord,
): Promise<Observation> {
  const { environmentId } = memory;
  const [disk, instances, networks, pins] = await Promise.all([
    parts.driver.disks.inspect(environmentId),
    lists.instances(),
    lists.networks(),
    lists.pins(),
  ]);
  const pinnedDigest = pins.get(environmentId);
  const [pinned, image] = await inspectImages(parts.driver, pinnedDigest, record.rootDigest);
  const main = mainOf(instances, environmentId);
  if (main?.state === 'running') await memory.clientFor(main.name).listen();
  const [loaded, usage] = await Promise.all([
    loadInside(parts, desired, record, image?.configuration),
    main?.state === 'running' ? parts.driver.instances.usage(main.name) : undefined,
  ]);
  const view = main?.state === 'running' ? memory.client?.view() : undefined;
  const network = networks.find((each) => each.environmentId === environmentId);
  const observed: EnvironmentObserved = {
    record,
    running: memory.steps.attempts(),
    disk: disk && { generations: disk.generations.map(({ generation }) => generation) },
    network: network !== undefined,
    pinnedDigest,
    imagePresent: pinned !== undefined,
    main,
    throwaway: throwawayOf([...instances.map(({ name }) => name), ...pins.keys()], environmentId),
    supervisor: view && {
      boot: view.boot,
      applied: memory.client?.isApplied(supervisorSpecOf(desired, loaded.inside, record)) ?? false,
      ...lifecycleFacts(loaded.inside, record, view.status),
      shutDown: view.shutDown,
    },
  };
  return { observed, loaded, view, network, usage };
}

async function inspectImages(
  driver: Driver,
  pinnedDigest: string | undefined,
  rootDigest: string | undefined,
): Promise<[Image | undefined, Image | undefined]> {
  const pinned = pinnedDigest === undefined ? undefined : driver.images.inspect(pinnedDigest);
  if (rootDigest === undefined || rootDigest === pinnedDigest) return [await pinned, await pinned];
  return [await pinned, await driver.images.inspect(rootDigest)];
}

/** The main instance; the newest generation of several, the running one before an ended one. */
function mainOf(instances: readonly Instance[], environmentId: string): EnvironmentObserved['main'] {
  const found = instances.flatMap(({ name, state, end }) => {
    const parsed = parseInstanceName(name);
    if (parsed?.environmentId !== environmentId || parsed.part !== 'main') return [];
    return [{ name, generation: parsed.generation, state, end }];
  });
  const rank = (each: (typeof found)[number]): number =>
    each.generation + (each.state === 'running' ? 1_000_000_000 : 0);
  return found.sort((left, right) => rank(right) - rank(left))[0];
}

/** Names of throw-away instances among those of instances and of owners of pins, each once. */
function throwawayOf(owners: readonly string[], environmentId: string): string[] {
  const found = owners.filter((name) => {
    const parsed = parseInstanceName(name);
    return parsed?.environmentId === environmentId && parsed.part !== 'main';
  });
  return [...new Set(found)];
}
