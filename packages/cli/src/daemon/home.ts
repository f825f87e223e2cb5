/** The folder that holds all state of one Atelier on this machine. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AtelierError } from '@atelier/api';
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

function homeFolder({ variable, isRoot, userHome }: Pick<System, 'variable' | 'isRoot' | 'userHome'>): string {
  const chosen = variable('ATELIER_HOME') ?? '';
  if (chosen !== '') return chosen;
  if (isRoot) return '/var/lib/atelier';
  const data = variable('XDG_DATA_HOME') ?? '';
  return join(data === '' ? join(userHome, '.local', 'share') : data, 'atelier');
}

/** Makes the home when it is missing; `failed_precondition` with words when it cannot be used. */
export function prepareHome(home: Home): void {
  const refuse = (why: string, cause?: unknown): never => {
    const message = `the home ${home.folder} cannot be used: ${why}. Set ATELIER_HOME to another folder.`;
    throw new AtelierError('failed_precondition', message, { cause });
  };
  try {
    // Others may pass through: the database runs as a user of its own below it.
    mkdirSync(home.folder, { recursive: true, mode: 0o755 });
    if (!statSync(home.folder).isDirectory()) refuse('it is not a folder');
    accessSync(home.folder, constants.R_OK | constants.W_OK | constants.X_OK);
    mkdirSync(home.lockFolder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    if (cause instanceof AtelierError) throw cause;
    refuse(reasonOf(cause), cause);
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'you may not write there',
  EPERM: 'you may not write there',
  EEXIST: 'there is a file of that name',
  ENOTDIR: 'a part of the path is a file',
  EROFS: 'its file system is read-only',
  ENOSPC: 'its file system is full',
  ENAMETOOLONG: 'its path is too long',
};

function reasonOf(cause: unknown): string {
  const { code = '', message = String(cause) } = cause as NodeJS.ErrnoException;
  return reasons[code] ?? message;
}
