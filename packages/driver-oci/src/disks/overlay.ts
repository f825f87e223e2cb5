/**
 * The root file system of an instance: image layers below, a writable layer on top, both shown with the ids of
 * the environment. It is mounted in the host's own mount namespace, but only while the instance starts: its
 * namespace has a copy, which goes with its last process, so a killed instance leaves no mount behind.
 */
import { chownSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join, relative } from 'node:path';
import { AtelierError } from '@atelier/api';
import { removeIfEmpty } from '../host/files.ts';
import { mountsBelow } from '../host/mount-table.ts';
import {
  asOwner,
  attachTree,
  mount,
  mountAttributes,
  mountFlags,
  openInside,
  openTree,
  setAttributes,
  unmount,
} from '../host/syscalls.ts';
import type { OciHome } from '../home.ts';

/** What a root file system is made of. */
export interface RootParts {
  /** Where it is mounted from and to; see {@link mountRoot}. */
  readonly folder: string;
  /** Folders below the home's storage, uppermost first. */
  readonly layers: readonly string[];
  /** A folder with `upper` and `work`. */
  readonly writable: string;
  /** The id on the host that is root inside. */
  readonly base: number;
  /** Descriptor of the environment's user namespace. */
  readonly userNamespace: number;
}

/** Options page of the classic mount call, less its last byte. */
const optionBytesMax = 4095;

/**
 * Mounts a root file system at `<folder>/root` and returns that path. Only the environment's own root may look
 * into the folder. Errors: `failed_precondition` when the kernel or the file system cannot do it.
 */
export function mountRoot(home: OciHome, parts: RootParts): string {
  const { folder, layers, writable, base, userNamespace } = parts;
  releaseRoot(folder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chownSync(folder, base, base);
  const opened: number[] = [];
  const open = (descriptor: number): number => {
    opened.push(descriptor);
    return descriptor;
  };
  try {
    const lower = open(attachMapped(home.storageFolder, join(folder, 'lower'), userNamespace, true));
    const upper = open(attachMapped(writable, join(folder, 'upper'), userNamespace, false));
    const names = layers.map((layer) => byDescriptor(open(openInside(lower, belowStorage(home, layer)))));
    const root = join(folder, 'root');
    mkdirSync(root);
    const options = [
      `lowerdir=${names.join(':')}`,
      `upperdir=${byDescriptor(open(openInside(upper, 'upper')))}`,
      `workdir=${byDescriptor(open(openInside(upper, 'work')))}`,
      // The upper layer must mean the same on every kernel, and be readable as an image layer.
      'index=off,redirect_dir=off,metacopy=off',
    ].join(',');
    if (options.length > optionBytesMax) throw tooManyLayers(layers.length);
    // Whoever mounts is whom the overlay makes files as: root of the host has no id in a mapped mount.
    asOwner(base, () => mount('atelier', root, 'overlay', mountFlags.noDevices, options));
    return root;
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

/** Takes away what {@link mountRoot} made, whole or half; running instances keep their own copy. */
export function releaseRoot(folder: string): void {
  for (const point of mountsBelow(folder)) unmount(point);
  // Never a recursive delete: if a mount were still there, it would delete the images below it.
  for (const part of ['lower', 'upper', 'root', '']) removeIfEmpty(join(folder, part));
}

/** Attaches a copy of what `source` shows, with the ids of the environment, at a new folder; gives it opened. */
function attachMapped(source: string, target: string, userNamespace: number, readOnly: boolean): number {
  mkdirSync(target, { mode: 0o700 });
  const tree = openTree(source);
  setAttributes(tree, readOnly ? mountAttributes.readOnly : 0, userNamespace);
  const place = openSync(target, 'r');
  try {
    attachTree(tree, place);
  } finally {
    closeSync(place);
  }
  return tree;
}

/** Short, and not to be misread when a path has a colon or a comma in it. */
function byDescriptor(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`;
}

function belowStorage(home: OciHome, layer: string): string {
  const path = relative(home.storageFolder, layer);
  if (path !== '' && !path.startsWith('..')) return path;
  throw new AtelierError('internal', `the image layer ${layer} is outside of ${home.storageFolder}`);
}

function tooManyLayers(count: number): AtelierError {
  const message = `the image has ${count} layers, more than can be mounted: build it with fewer steps`;
  return new AtelierError('failed_precondition', message);
}
