/**
 * Folders and files of the host that are seen inside, attached to the mounted root before its instance starts.
 * The root was written by whoever is root inside: every path in it is resolved as if it were the whole machine.
 */
import { closeSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import {
  asOwner,
  attachTree,
  errnoOf,
  makeFileAt,
  makeFolderAt,
  mountAttributes,
  openInside,
  openTree,
  setAttributes,
  unlinkAt,
} from '../host/syscalls.ts';

/** One thing that is seen inside. */
export interface Bind {
  readonly source: string;
  /** Absolute path inside; made when it is missing. */
  readonly target: string;
  readonly kind: 'folder' | 'file';
  readonly access: 'read-only' | 'read-write';
  /** `mapped`: its files are shown with the ids of the environment. `plain`: as they are, for sockets. */
  readonly ids: 'mapped' | 'plain';
}

/** Attaches binds to a mounted root, in their order. */
export function attachBinds(root: string, binds: readonly Bind[], base: number, userNamespace: number): void {
  const folder = openSync(root, 'r');
  try {
    for (const bind of binds) attachBind(folder, bind, base, userNamespace);
  } finally {
    closeSync(folder);
  }
}

function attachBind(root: number, bind: Bind, base: number, userNamespace: number): void {
  const tree = openTree(bind.source);
  try {
    const guarded = mountAttributes.noSetuid + mountAttributes.noDevices;
    const readOnly = bind.access === 'read-only' ? mountAttributes.readOnly : 0;
    setAttributes(tree, guarded + readOnly, bind.ids === 'mapped' ? userNamespace : undefined);
    const place = asOwner(base, () => openOrMake(root, bind.target, bind.kind));
    try {
      attachTree(tree, place);
    } finally {
      closeSync(place);
    }
  } finally {
    closeSync(tree);
  }
}

function openOrMake(root: number, path: string, kind: 'folder' | 'file'): number {
  try {
    return openInside(root, path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || path === '/') throw error;
  }
  const parent = openOrMake(root, dirname(path), 'folder');
  try {
    const name = basename(path);
    // A link to nowhere, such as an image's /etc/resolv.conf, stands where the file must be.
    if (isThere(parent, name)) unlinkAt(parent, name);
    const make = kind === 'folder' ? makeFolderAt : makeFileAt;
    make(parent, name);
    return openInside(parent, name, false);
  } finally {
    closeSync(parent);
  }
}

function isThere(parent: number, name: string): boolean {
  try {
    closeSync(openInside(parent, name, false));
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
