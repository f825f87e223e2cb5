/** The instance driver: everything is read from the machine, only connections live in this process. */
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import type { Instance, InstanceDriver } from '@atelier/driver';
import { removeTrees } from '../disks/disks.ts';
import { environmentFolder, environmentIds, instancesFolder } from '../disks/folders.ts';
import { releaseRoot } from '../disks/overlay.ts';
import { removeIfEmpty, writeJson } from '../host/files.ts';
import { ensureNamespaces, removeNamespaces } from '../host/namespaces.ts';
import type { Serial } from '../host/serial.ts';
import { crunDelete } from './crun.ts';
import { endGently, endOf, killAll, removeCgroups } from './death.ts';
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

  /** Takes everything of an instance away but its socket, at which somebody may listen for its next run. */
  const clear = async (name: string): Promise<void> => {
    await killAll(clock, cgroups, name);
    await crunDelete(home, name);
    releaseRoot(rootFolder(home, name));
    await removeCgroups(clock, cgroups, name);
    await removeTrees([bundleFolder(home, name)]);
  };

  /** Takes an instance away, and what its environment has only while it has instances. */
  const takeAway = async (name: string): Promise<void> => {
    await clear(name);
    listeners.release(name);
    const environmentId = environmentOf(name);
    removeIfEmpty(instancesFolder(home, environmentId));
    removeIfEmpty(environmentFolder(home, environmentId));
    releaseNamespaces(setting, environmentId);
  };

  return {
    list: async () => allRecords(home).map(shown),
    inspect: async (name) => found(name),
    start: (start) =>
      serial(start.environmentId, async () => {
        if (environmentOf(start.name) !== start.environmentId) {
          const message = `${start.name} is not a name of environment ${start.environmentId}`;
          throw new AtelierError('invalid_argument', message);
        }
        const running = found(start.name);
        if (running?.state === 'running') return running;
        const plan = await planStart(setting, start);
        await clear(start.name);
        try {
          const { base } = await ensureNamespaces(home, start.environmentId);
          listeners.admit(start.name, base);
          return shown(await carryOut(setting, plan));
        } catch (error) {
          await takeAway(start.name);
          throw error;
        }
      }),
    async stop(name, graceMs) {
      const record = readRecord(home, name);
      if (record === undefined || !isRunning(record)) return killAll(clock, cgroups, name);
      const end = (await endGently(clock, record, graceMs)) ? 'exited' : 'killed';
      await killAll(clock, cgroups, name);
      const now = readRecord(home, name);
      if (now?.process.startTime !== record.process.startTime) return;
      writeJson(join(bundleFolder(home, name), 'state.json'), { ...record, end } satisfies InstanceRecord);
    },
    remove: async (name) => serial(environmentOf(name), () => takeAway(name)),
    async listen(name, onLink) {
      environmentOf(name);
      return listeners.listen(name, onLink);
    },
    async usage(name) {
      const record = readRecord(home, name);
      return record && isRunning(record) ? cgroups.usage(name) : undefined;
    },
  };
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
