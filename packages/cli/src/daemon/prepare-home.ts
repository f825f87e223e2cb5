/** Making the home, and refusing one that cannot be used. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { AtelierError } from '@atelier/api';
import type { Home } from './home.ts';

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
