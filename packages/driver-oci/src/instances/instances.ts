/** The instance driver: everything is read from the machine, only connections live in this process. */
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import type { Instance, InstanceDriver, InstanceStart } from '@atelier/driver';
import { removeTrees } from '../disks/disks.ts';
import { environmentFolder, environmentIds, instancesFolder } from '../disks/folders.ts';
import { releaseRoot } from '../disks/overlay.ts';
import { removeIfEmpty, writeJson } from '../host/files.ts';
import { ensureNamespaces, removeNamespaces } from '../host/namespaces.ts';
import type { Serial } from '../host/serial.ts';
import { unenforceableLimits } from './cgroup-version.ts';
import { crunDelete } from './crun.ts';
import { endGently, endOf, killAll, killInstance, removeCgroups } from './death.ts';
import {
  allRecords,
  bundleFolder,
  bundleNames,
  environmentOf,
  hasInstances,
  isRunning,
  readRecord,
  type InstanceRecord,
} from './records.ts';
import { carryOut, planStart, rootFolder, type InstanceSetting } from './start.ts';

/** Makes the instance driver of a home. `serial` is shared with the disks and networks. */
export function makeInstances(setting: InstanceSetting, serial: Serial): InstanceDriver {
  const { home, clock, cgroups, listeners } = setting;

  const shown = (record: InstanceRecord): Instance =>
    isRunning(record)
      ? { name: record.name, state: 'running', process: record.process }
      : { name: record.name, state: 'ended', end: endOf(record, cgroups) };

  const found = (name: string): Instance | undefined => {
    const record = readRecord(home, name);
    return record && shown(record);
  };

  return {
    list: async () => allRecords(home).map(shown),
    inspect: async (name) => found(name),
    start: (start) =>
      serial(start.environmentId, async () => {
        requireOwnName(start);
        const running = found(start.name);
        if (running?.state === 'running') return running;
        const plan = await planStart(setting, start);
        await clear(setting, start.name);
        try {
          const { base } = await ensureNamespaces(home, start.environmentId);
          listeners.admit(start.name, base);
          return shown(await carryOut(setting, plan));
        } catch (error) {
          await takeAway(setting, start.name);
          throw error;
        }
      }),
    async stop(name, graceMs) {
      const record = readRecord(home, name);
      if (record === undefined || !isRunning(record)) return killAll(clock, cgroups, name);
      const end = (await endGently(clock, record, graceMs)) ? 'exited' : 'killed';
      await killInstance(clock, cgroups, record);
      const now = readRecord(home, name);
      if (now?.process.startTime !== record.process.startTime) return;
      writeJson(join(bundleFolder(home, name), 'state.json'), { ...record, end } satisfies InstanceRecord);
    },
    remove: async (name) => serial(environmentOf(name), () => takeAway(setting, name)),
    async listen(name, onLink) {
      environmentOf(name);
      return listeners.listen(name, onLink);
    },
    async usage(name) {
      const record = readRecord(home, name);
      return record && isRunning(record) ? cgroups.usage(name) : undefined;
    },
    unenforceable: (limits) => unenforceableLimits(cgroups.version, limits),
  };
}

/** Takes everything of an instance away but its socket, at which somebody may listen for its next run. */
async function clear({ home, clock, cgroups }: InstanceSetting, name: string): Promise<void> {
  await killAll(clock, cgroups, name);
  await crunDelete(home, name);
  releaseRoot(rootFolder(home, name));
  await removeCgroups(clock, cgroups, name);
  await removeTrees([bundleFolder(home, name)]);
}

/** Takes an instance away, and what its environment has only while it has instances. */
async function takeAway(setting: InstanceSetting, name: string): Promise<void> {
  await clear(setting, name);
  setting.listeners.release(name);
  const environmentId = environmentOf(name);
  removeIfEmpty(instancesFolder(setting.home, environmentId));
  removeIfEmpty(environmentFolder(setting.home, environmentId));
  releaseNamespaces(setting, environmentId);
}

function requireOwnName({ name, environmentId }: InstanceStart): void {
  if (environmentOf(name) === environmentId) return;
  throw new AtelierError('invalid_argument', `${name} is not a name of environment ${environmentId}`);
}

/** Gives up the namespaces of an environment that has neither instances nor a network any more. */
export function releaseNamespaces(
  { home, networkOf }: Pick<InstanceSetting, 'home' | 'networkOf'>,
  environmentId: string,
): void {
  if (hasInstances(home, environmentId) || networkOf(environmentId) !== undefined) return;
  removeNamespaces(home, environmentId);
}

/** Whether there is anything of an instance of this name. */
export function hasBundle({ home }: Pick<InstanceSetting, 'home'>, name: string): boolean {
  const environmentId = environmentOf(name);
  return environmentIds(home).includes(environmentId) && bundleNames(home, environmentId).includes(name);
}
