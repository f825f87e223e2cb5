import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Undo } from './run.ts';

/** One cgroup file system of this machine: where it is mounted, its type and its controllers. */
export interface Hierarchy {
  mount: string;
  type: 'cgroup' | 'cgroup2';
  options: string;
}

/** The cgroup file systems that are mounted: one for version 2, several for version 1, or both. */
export function hierarchies(): Hierarchy[] {
  const found: Hierarchy[] = [];
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const [, mount = '', type = '', options = ''] = line.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const own = options
      .split(',')
      .filter((option) => !/^(rw|ro|relatime|nosuid|nodev|noexec|nsdelegate)$/.test(option));
    found.push({ mount, type, options: type === 'cgroup' ? own.join(',') : '' });
  }
  return found;
}

/**
 * Makes one cgroup of this name in every hierarchy and returns the files that a process has to be written to. In a
 * cgroup namespace entered there, it looks like the top of a machine of its own.
 */
export function makeCgroups(name: string, undos: Undo[]): string[] {
  return hierarchies().map(({ mount, type }) => {
    const folder = join(mount, name);
    mkdirSync(folder);
    undos.push(() => removeTree(folder));
    // Version 1 gives a new cpuset no processors, and a process cannot enter an empty one.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (type === 'cgroup' && existsSync(join(folder, file))) {
        writeFileSync(join(folder, file), readFileSync(join(mount, file)));
      }
    }
    return join(folder, 'cgroup.procs');
  });
}

// A killed process leaves its cgroup a moment after its exit is seen.
function removeTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  }
  for (let attempt = 0; ; attempt += 1) {
    try {
      return rmdirSync(folder);
    } catch (error) {
      if (attempt === 100) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}
