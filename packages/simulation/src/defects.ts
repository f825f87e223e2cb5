/**
 * Planted defects: each is a mistake that a runner could make, made between the runner and its world. An
 * oracle that does not find them is blind; the tests prove that none is.
 */
import type { Driver, Instance } from '@atelier/driver';
import type { RunnerDefect } from './processes/runner-host.ts';

/** How late a write is that was reported as done. */
const lateMs = 60_000;

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
    name: 'the ledger is written after it was acknowledged and acted on',
    oracles: ['settled means true', 'every phase ends', 'nothing is forgotten', 'deleted leaves nothing'],
    defect: {
      ledger: (ledger, { clock }) => ({
        ...ledger,
        async write(text) {
          clock.timer(lateMs, () => void ledger.write(text).catch(() => {}));
        },
      }),
    },
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
