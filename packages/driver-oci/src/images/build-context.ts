/**
 * The files of a build. They are somebody else's: nothing here follows a link or a `..` out of the workspace,
 * and the folder that was checked is the folder that is built, because it is held open.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { AtelierError, requireId } from '@atelier/api';
import type { ImageBuild } from '@atelier/driver';
import { workspaceFolder } from '../disks/folders.ts';
import type { OciHome } from '../home.ts';
import { errnoOf, openInside } from '../host/syscalls.ts';

/** An open context: the folder stays the same one until it is closed, wherever its path leads by then. */
export interface BuildContext {
  /** The context folder, held open. */
  readonly descriptor: number;
  readonly dockerfile: string;
  /** Patterns of what is left out of the context; empty when there are none. */
  readonly ignore: string;
  close(): void;
}

const fileBytesMax = 1 << 20;

/** Opens the context of a build. Errors: `invalid_argument` for paths that leave the workspace or are not there. */
export function openContext(home: OciHome, build: ImageBuild): BuildContext {
  const folder = workspaceFolder(home, requireId(build.environmentId, 'environment id'));
  const workspace = openOrExplain('the workspace', folder, () =>
    openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW),
  );
  try {
    const contextPath = insidePath('context', build.contextPath);
    const dockerfilePath = insidePath('Dockerfile', build.dockerfilePath);
    const dockerfile = readInside(workspace, dockerfilePath);
    if (dockerfile === undefined) {
      throw new AtelierError(
        'invalid_argument',
        `there is no Dockerfile at ${dockerfilePath} in the workspace`,
      );
    }
    const descriptor = openOrExplain('the build context', contextPath, () =>
      openInside(workspace, contextPath),
    );
    if (!fstatSync(descriptor).isDirectory()) {
      closeSync(descriptor);
      throw new AtelierError('invalid_argument', `the build context ${contextPath} is not a folder`);
    }
    const ignore =
      readInside(workspace, `${dockerfilePath}.dockerignore`) ??
      readInside(descriptor, '.containerignore') ??
      readInside(descriptor, '.dockerignore');
    return { descriptor, dockerfile, ignore: ignore ?? '', close: () => closeSync(descriptor) };
  } finally {
    closeSync(workspace);
  }
}

function insidePath(what: string, path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  let depth = 0;
  const leaves = parts.some((part) => (depth += part === '..' ? -1 : 1) < 0);
  if (leaves || path.startsWith('/') || path.includes('\0')) {
    throw new AtelierError('invalid_argument', `the path of the ${what}, ${path}, leaves the workspace`);
  }
  return parts.join('/') || '.';
}

function openOrExplain(what: string, path: string, open: () => number): number {
  try {
    return open();
  } catch (cause) {
    const message = `${what} ${path} is not there, or is reached by a link that leaves the workspace`;
    throw new AtelierError('invalid_argument', message, { cause });
  }
}

/** The text of a small file, undefined when there is none. */
function readInside(folder: number, path: string): string | undefined {
  let found: number;
  try {
    found = openInside(folder, path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
  try {
    const status = fstatSync(found);
    if (!status.isFile() || status.size > fileBytesMax) {
      throw new AtelierError('invalid_argument', `${path} is not a file of at most ${fileBytesMax} bytes`);
    }
    // Opened by way of its descriptor: what was looked at is what is read.
    return readFileSync(`/proc/self/fd/${found}`, 'utf8');
  } finally {
    closeSync(found);
  }
}

/**
 * A hash that changes when a file of the context does. It is made of what the file system knows (which nobody
 * inside an environment can set back), not of contents, so that a large context costs milliseconds. It means
 * something within one environment only.
 */
export async function fingerprintOf(context: BuildContext): Promise<string> {
  const hash = createHash('sha256').update(context.ignore);
  await addFolder(hash, `/proc/self/fd/${context.descriptor}`, '');
  return hash.digest('hex');
}

async function addFolder(hash: Hash, root: string, path: string): Promise<void> {
  await setImmediate();
  const entries = readdirSync(join(root, path), { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const below = join(path, entry.name);
    const status = lstatSync(join(root, below), { bigint: true, throwIfNoEntry: false });
    if (status === undefined) continue;
    const { mode, size, mtimeNs, ctimeNs, ino } = status;
    // Folders change their times with each temporary file that comes and goes: what counts is in them.
    const facts = entry.isDirectory() ? [mode] : [mode, size, mtimeNs, ctimeNs, ino];
    hash.update(JSON.stringify([below, ...facts.map(String)]));
    if (entry.isDirectory()) await addFolder(hash, root, below);
  }
}
