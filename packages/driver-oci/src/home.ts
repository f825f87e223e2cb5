/**
 * Where this driver keeps what it makes. What must outlive a reboot lies under the home; sockets, mounts and
 * names that are limited in length lie under `/run/atelier`, told apart by a short hash of the home.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { requireRoot } from './host/root.ts';

/** Folder of everything that is claimed or bound for this boot of the machine, whatever the home. */
export const machineFolder = '/run/atelier';

/** The folders of one home, all absolute. */
export interface OciHome {
  /** ATELIER_HOME, with symbolic links resolved. */
  readonly folder: string;
  /** containers/storage of this home. */
  readonly storageFolder: string;
  /** One folder per environment; only root may look in, because setuid files lie below. */
  readonly environmentsFolder: string;
  /** The first 8 hexadecimal digits of a hash of the folder: part of every name that must be short. */
  readonly short: string;
  /** `/run/atelier/<short>`: sockets, network namespaces and mounts of this boot. */
  readonly runFolder: string;
}

/** Says where the folders of a home are, which need not be there any more. `folder` has no links in it. */
export function homeAt(folder: string): OciHome {
  const short = createHash('sha256').update(folder).digest('hex').slice(0, 8);
  return {
    folder,
    storageFolder: join(folder, 'storage'),
    environmentsFolder: join(folder, 'runner/environments'),
    short,
    runFolder: join(machineFolder, short),
  };
}

/**
 * Makes the folders of a home where they are missing. Errors: `failed_precondition` for everybody but root, and
 * those of the file system, as they come.
 */
export function openHome(folder: string): OciHome {
  requireRoot();
  mkdirSync(folder, { recursive: true });
  const home = homeAt(realpathSync(folder));
  mkdirSync(machineFolder, { recursive: true });
  for (const closed of [home.environmentsFolder, home.storageFolder]) makeFolder(closed, 0o700);
  // An environment's root is on the way to its own folder below `roots` and may not look around there.
  makeFolder(home.runFolder, 0o711);
  makeFolder(join(home.runFolder, 'roots'), 0o711);
  for (const part of ['namespaces', 'networks', 'sockets']) makeFolder(join(home.runFolder, part), 0o700);
  return home;
}

/** A short name for something of this home: `length` hexadecimal digits of a hash of home and parts. */
export function shortName(home: OciHome, length: number, ...parts: readonly string[]): string {
  return createHash('sha256')
    .update([home.folder, ...parts].join('\0'))
    .digest('hex')
    .slice(0, length);
}

function makeFolder(folder: string, mode: number): void {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, mode);
}
