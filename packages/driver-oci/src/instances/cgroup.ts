/**
 * The cgroups of instances: one with the limits per instance, in it a leaf `init` for PID 1 and the supervisor
 * and a leaf `user`. Both leaves are under the same limits. Processes are born in `init`; nothing moves them to
 * `user` yet, which is there so that one day an editor can be protected from a compiler.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import type { InstanceLimits, InstanceUsage } from '@atelier/driver';
import { namesIn, readText, unlessMissing } from '../host/files.ts';
import { readMountTable, type MountEntry } from '../host/mount-table.ts';
import { errnoOf } from '../host/syscalls.ts';
import type { OciHome } from '../home.ts';
import { unenforceableLimits, type CgroupVersion, type LimitFile } from './cgroup-version.ts';
import { versionOne } from './cgroup-v1.ts';
import { versionTwo } from './cgroup-v2.ts';

/** The leaves of an instance's cgroup. */
export const cgroupLeaves = ['init', 'user'] as const;

/** The cgroups of one home. */
export interface Cgroups {
  readonly version: CgroupVersion;
  /**
   * Makes the cgroup of an instance with its limits; gives the files that a process writes `0` to in order to
   * enter. Errors: `failed_precondition` for a limit that cannot be enforced here.
   */
  make(name: string, limits: InstanceLimits): string[];
  processes(name: string): number[];
  /** Sends SIGKILL to everything in it; what is born in the same moment is met by the next call. */
  kill(name: string): void;
  usage(name: string): InstanceUsage;
  outOfMemoryKills(name: string): number;
  /** Takes the cgroup away. False while something in it still dies: call again a little later. */
  remove(name: string): boolean;
  /** Names of all instances that have a cgroup. */
  names(): string[];
}

/**
 * Finds out which version governs this machine: the second where it has the memory controller, or where there is
 * no other.
 */
export function detectVersion(
  table: readonly MountEntry[] = readMountTable(),
  read: (path: string) => string = (path) => readText(path) ?? '',
): CgroupVersion {
  const unified = table.find((entry) => entry.type === 'cgroup2')?.mountPoint;
  const controllers =
    unified === undefined ? [] : read(join(unified, 'cgroup.controllers')).trim().split(' ');
  const one = versionOne(table, unified);
  const isGoverned = controllers.includes('memory') || one.controllers.length === 0;
  return unified !== undefined && isGoverned ? versionTwo(unified, controllers) : one;
}

/** The cgroups of a home, in a folder of its own in each hierarchy. */
export function makeCgroups(home: OciHome, version: CgroupVersion = detectVersion()): Cgroups {
  const ours = `atelier-${home.short}`;
  const at = (hierarchy: string, ...parts: string[]): string => join(hierarchy, ours, ...parts);
  const reader =
    (...parts: string[]) =>
    (hierarchy: string, file: string): string =>
      unlessMissing(() => readFileSync(at(hierarchy, ...parts, file), 'utf8')) ?? '';
  const processes = (name: string): number[] =>
    ['', ...cgroupLeaves]
      .flatMap((leaf) => reader(name, leaf)(version.tracking, 'cgroup.procs').split('\n'))
      .filter((line) => line !== '')
      .map(Number);
  return {
    version,
    make(name, limits) {
      const [refused] = Object.values(unenforceableLimits(version, limits));
      if (refused !== undefined) throw new AtelierError('failed_precondition', refused);
      for (const hierarchy of version.hierarchies) makeBranch(hierarchy, [ours, name], version.handedDown);
      for (const limit of version.limitFiles(limits)) setLimit(at(limit.hierarchy, name, limit.file), limit);
      return version.hierarchies.map((hierarchy) => at(hierarchy, name, 'init', 'cgroup.procs'));
    },
    processes,
    kill(name) {
      const everything = at(version.tracking, name, 'cgroup.kill');
      if (existsSync(everything)) return void unlessMissing(() => writeFileSync(everything, '1'));
      for (const pid of processes(name)) unlessMissing(() => process.kill(pid, 'SIGKILL'));
    },
    usage: (name) => version.usage(reader(name)),
    outOfMemoryKills: (name) =>
      cgroupLeaves.reduce((sum, leaf) => sum + version.outOfMemoryKills(reader(name, leaf)), 0),
    remove(name) {
      const gone = version.hierarchies.map((hierarchy) =>
        [...cgroupLeaves.map((leaf) => at(hierarchy, name, leaf)), at(hierarchy, name)].every(removeCgroup),
      );
      for (const hierarchy of version.hierarchies) removeCgroup(at(hierarchy));
      return gone.every(Boolean);
    },
    names: () => {
      const found = version.hierarchies.flatMap((hierarchy) =>
        namesIn(at(hierarchy)).filter((name) => existsSync(at(hierarchy, name, 'cgroup.procs'))),
      );
      return [...new Set(found)];
    },
  };
}

function makeBranch(hierarchy: string, names: readonly string[], handedDown: string): void {
  let folder = hierarchy;
  for (const name of names) {
    handDown(folder, handedDown);
    folder = join(folder, name);
    mkdirSync(folder, { recursive: true });
  }
  handDown(folder, handedDown);
  for (const leaf of cgroupLeaves) mkdirSync(join(folder, leaf), { recursive: true });
}

function handDown(folder: string, controllers: string): void {
  if (controllers !== '') writeFileSync(join(folder, 'cgroup.subtree_control'), controllers);
}

/** A limit counts only when the kernel shows it afterwards; memory is rounded down to pages. */
function setLimit(path: string, limit: LimitFile): void {
  if (limit.optional && !existsSync(path)) return;
  writeFileSync(path, limit.value);
  const shown = readFileSync(path, 'utf8').trim();
  const pageBytesMax = 65536;
  const difference = Number(limit.value) - Number(shown);
  if (difference >= 0 && difference < pageBytesMax) return;
  const message = `${limit.file} was set to ${limit.value} and reads ${shown}: this machine cannot enforce the limit`;
  throw new AtelierError('failed_precondition', message);
}

function removeCgroup(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    const code = errnoOf(error) ?? '';
    if (code === 'ENOENT') return true;
    if (['EBUSY', 'ENOTEMPTY'].includes(code)) return false;
    throw error;
  }
}
