/** Making the home, and refusing one that cannot be used. */
import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { AtelierError } from '@atelier/api';
import type { Home } from './home.ts';

/** Makes the home when it is missing; `failed_precondition` with words when it cannot be used. */
export function prepareHome(home: Home): void {
  const shown = JSON.stringify(home.folder).slice(1, -1);
  const refuse = (why: string, cause?: unknown): never => {
    const message = `the home ${shown} cannot be used: ${why}. Set ATELIER_HOME to another folder.`;
    throw new AtelierError('failed_precondition', message, { cause });
  };
  // Tables of the kernel and of programs have a line for each path.
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(home.folder)) refuse('its path has a control character');
  try {
    // Others may pass through: the database runs as a user of its own below it.
    makeFolder(home.folder);
    if (!statSync(home.folder).isDirectory()) refuse('it is not a folder');
    accessSync(home.folder, constants.R_OK | constants.W_OK | constants.X_OK);
    mkdirSync(home.lockFolder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    if (cause instanceof AtelierError) throw cause;
    refuse(reasonOf(cause), cause);
  }
}

/** As `mkdir` with `recursive`, which never ends on a file system that makes nothing, such as /proc. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(path);
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    if (code !== 'ENOENT' || existsSync(parent)) throw error;
    makeFolder(parent);
    mkdirSync(path, { mode: 0o755 });
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'you may not write there',
  EPERM: 'you may not write there',
  EEXIST: 'there is a file of that name',
  ENOTDIR: 'a part of the path is a file',
  ENOENT: 'no folder can be made there',
  EROFS: 'its file system is read-only',
  ENOSPC: 'its file system is full',
  ENAMETOOLONG: 'its path is too long',
};

function reasonOf(cause: unknown): string {
  const { code = '', message = String(cause) } = cause as NodeJS.ErrnoException;
  return reasons[code] ?? message;
}
