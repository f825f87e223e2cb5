/** The files that a simulated process sees: the workspace where it is mounted, and nothing else. */
import { posix } from 'node:path';
import type { InstanceStart } from '@atelier/driver';
import type { Surroundings } from './surroundings.ts';
import type { SimulatedFiles } from './workspace.ts';

/** The files of an instance as seen from a working directory; `onWrite` is told of each write. */
export function filesOf(
  machine: Surroundings,
  start: InstanceStart,
  workingDirectory: string,
  onWrite: () => void,
): SimulatedFiles {
  const mount = start.mounts.find(({ kind }) => kind === 'workspace')?.target;
  const disk = machine.disks.get(start.environmentId);
  const inWorkspace = (path: string): string | undefined => {
    if (mount === undefined) return undefined;
    const relative = posix.relative(mount, posix.resolve(workingDirectory, path));
    return relative.startsWith('..') ? undefined : relative;
  };
  return {
    read(path) {
      const relative = inWorkspace(path);
      return relative === undefined ? undefined : disk?.workspace.get(relative);
    },
    write(path, text) {
      const relative = inWorkspace(path);
      if (relative === undefined || disk === undefined) return false;
      disk.workspace.set(relative, text);
      disk.workspaceVersion += 1;
      onWrite();
      return true;
    },
    list(folder) {
      const relative = inWorkspace(folder);
      if (relative === undefined || disk === undefined) return [];
      const prefix = relative === '' ? '' : `${relative}/`;
      const paths = [...disk.workspace.keys()].filter((path) => path.startsWith(prefix));
      return paths.map((path) => path.slice(prefix.length)).toSorted();
    },
  };
}

/** Where a process starts that names no working directory: the workspace, or the root without one. */
export function homeOf(start: InstanceStart): string {
  return start.mounts.find(({ kind }) => kind === 'workspace')?.target ?? '/';
}
