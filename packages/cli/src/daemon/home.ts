/** The folder that holds all state of one Atelier on this machine. */
import { join, resolve } from 'node:path';
import type { System } from '../system.ts';

/** The folder and what lies in it. */
export interface Home {
  readonly folder: string;
  /** What the daemon prints. */
  readonly logFile: string;
  /** Where lock files lie. */
  readonly lockFolder: string;
  /** Says how the half that has the plane is reached. */
  recordFile(half: Half): string;
}

/** The two halves of a daemon; by default one process has both. */
export type Half = 'plane' | 'runner';

/** The home by `ATELIER_HOME`, or root's or the user's own; nothing is made yet. */
export function homeOf(system: Pick<System, 'variable' | 'isRoot' | 'userHome' | 'workingFolder'>): Home {
  const folder = resolve(system.workingFolder, homeFolder(system));
  return {
    folder,
    logFile: join(folder, 'daemon.log'),
    lockFolder: join(folder, 'locks'),
    recordFile: (half) => join(folder, half === 'plane' ? 'daemon.json' : 'runner.json'),
  };
}

function homeFolder({
  variable,
  isRoot,
  userHome,
}: Pick<System, 'variable' | 'isRoot' | 'userHome'>): string {
  const chosen = variable('ATELIER_HOME') ?? '';
  if (chosen !== '') return chosen;
  if (isRoot) return '/var/lib/atelier';
  const data = variable('XDG_DATA_HOME') ?? '';
  return join(data === '' ? join(userHome, '.local', 'share') : data, 'atelier');
}
