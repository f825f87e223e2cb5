/** Folders of this machine that become content: looked at by name only, nothing in them is opened or run. */
import { realpath, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { AtelierError } from '@atelier/api';

/** What the runner asks about a folder of the machine. */
export interface LocalFolders {
  /** What the folder is. `not_found` when there is none. */
  look(path: string): Promise<LocalFolder>;
}

/** A folder that was looked at. */
export type LocalFolder =
  /** A repository without a work tree: it is cloned. */
  | { readonly kind: 'bare'; readonly path: string }
  /**
   * A folder to copy: the root of the git work tree that it is in, or itself. `subfolder` is where the folder
   * that was named stands in it, empty for itself.
   */
  | { readonly kind: 'folder'; readonly path: string; readonly subfolder: string };

/** Folders of the real machine. */
export const machineFolders: LocalFolders = {
  async look(path) {
    const real = await realpath(path).catch(() => undefined);
    const isFolder = real !== undefined && (await isThere(real, 'folder'));
    if (real === undefined || !isFolder) {
      throw new AtelierError(
        'not_found',
        `There is no folder ${path} on this machine. Name one that exists.`,
      );
    }
    if (await isBare(real)) return { kind: 'bare', path: real };
    const root = (await workTreeRoot(real)) ?? real;
    return { kind: 'folder', path: root, subfolder: relative(root, real) };
  },
};

/** The path of `home` below `folder`, empty when it is not below it. `invalid_argument` when it is the folder. */
export function excludedPath(folder: string, home: string): string {
  if (home === '') return '';
  const inner = relative(folder, home);
  if (inner.startsWith('..') || inner.startsWith('/')) return '';
  if (inner !== '') return inner;
  throw new AtelierError(
    'invalid_argument',
    `${folder} is the home of Atelier itself and cannot be copied. Name another folder.`,
  );
}

async function isBare(path: string): Promise<boolean> {
  if (await isThere(join(path, '.git'), 'any')) return false;
  const parts = [
    isThere(join(path, 'HEAD'), 'any'),
    isThere(join(path, 'objects'), 'folder'),
    isThere(join(path, 'refs'), 'folder'),
  ];
  return (await Promise.all(parts)).every(Boolean);
}

async function workTreeRoot(path: string): Promise<string | undefined> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (await isThere(join(folder, '.git'), 'any')) return folder;
    if (dirname(folder) === folder) return undefined;
  }
}

async function isThere(path: string, kind: 'folder' | 'any'): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && (kind === 'any' || found.isDirectory());
}
