/**
 * Planted defects: each is a mistake that a runner could make, made between the runner and its world. An
 * oracle that does not find them is blind; the tests prove that none is.
 */
import type { Driver, Instance } from '@atelier/driver';
import type { LedgerStorage } from '@atelier/runner';
import type { RunnerDefect } from './processes/runner-host.ts';
import type { World } from './world/world.ts';

/** How long after its acknowledgement a change is written. */
const lateMs = 10 * 60_000;

/** A defect and the oracles of which one has to find it. */
export interface PlantedDefect {
  readonly name: string;
  readonly defect: RunnerDefect;
  readonly oracles: readonly string[];
}

function withInstances(driver: Driver, changed: Partial<Driver['instances']>): Driver {
  return { ...driver, instances: { ...driver.instances, ...changed } };
}

function alwaysRunning(instance: Instance): Instance {
  if (instance.state === 'running') return instance;
  return { name: instance.name, state: 'running', process: { pid: 2, startTime: '0' } };
}

/** Writes the new revision with the old environments at once, and the environments late. */
function acknowledgedTooEarly(ledger: LedgerStorage, { clock }: World): LedgerStorage {
  return {
    ...ledger,
    async write(text) {
      const before = JSON.parse((await ledger.read()) ?? text) as { desired: object };
      const now = JSON.parse(text) as { desired: { revision?: string } };
      const desired = { ...before.desired, revision: now.desired.revision };
      await ledger.write(JSON.stringify({ ...now, desired }));
      clock.timer(lateMs, () => void ledger.write(text).catch(() => {}));
    },
  };
}

/** Every planted defect. */
export const plantedDefects: readonly PlantedDefect[] = [
  {
    name: 'an instance that has ended is taken for one that runs',
    oracles: ['settled means true', 'every phase ends'],
    defect: {
      driver: (driver) =>
        withInstances(driver, {
          list: async () => (await driver.instances.list()).map(alwaysRunning),
          inspect: async (name) => {
            const instance = await driver.instances.inspect(name);
            return instance && alwaysRunning(instance);
          },
        }),
    },
  },
  {
    name: 'a stop collects the disk as if it were garbage',
    oracles: ['desired is never collected', 'work is never lost'],
    defect: {
      driver: (driver) => ({
        ...driver,
        networks: {
          ...driver.networks,
          async remove(environmentId) {
            await driver.networks.remove(environmentId);
            await driver.disks.remove(environmentId);
          },
        },
      }),
    },
  },
  {
    name: 'a change is acknowledged in the ledger before it is written there',
    oracles: ['settled means true', 'every phase ends', 'nothing is forgotten', 'deleted leaves nothing'],
    defect: { ledger: acknowledgedTooEarly },
  },
  {
    name: 'content is made anew with every start',
    oracles: ['work is never lost'],
    defect: {
      driver: (driver, { machine }) =>
        withInstances(driver, {
          async start(start) {
            const disk = machine.disks.get(start.environmentId);
            if (start.root.kind === 'disk' && !machine.instances.has(start.name)) disk?.workspace.clear();
            return driver.instances.start(start);
          },
        }),
    },
  },
  {
    name: 'an instance is removed from the list while it still runs',
    oracles: ['one writer per disk', 'deleted leaves nothing', 'settled means true'],
    defect: {
      driver(driver) {
        const hidden = new Set<string>();
        return withInstances(driver, {
          stop: async () => {},
          remove: async (name) => void hidden.add(name),
          list: async () => (await driver.instances.list()).filter(({ name }) => !hidden.has(name)),
          start: async (start) => {
            hidden.delete(start.name);
            return driver.instances.start(start);
          },
        });
      },
    },
  },
];
