/**
 * What the runner keeps on its own disk, as interfaces and as the one real implementation. The loops see
 * texts and bytes only, so that the simulation can be the disk.
 */
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AtelierError, isId, requireId } from '@atelier/api';

/** Where the ledger lies: one document that is replaced as a whole. */
export interface LedgerStorage {
  /** The text as it was last written whole, undefined when there is none. */
  read(): Promise<string | undefined>;
  /** Returns when the text is on the disk; a crash before leaves the old one. */
  write(text: string): Promise<void>;
  /** Moves a document that cannot be used out of the way and says where it is now. Nothing is deleted. */
  setAside(): Promise<string>;
}

/** The documents that the runner keeps about one environment. */
export type RecordDocument = 'state' | 'configuration' | 'log-bases';

/** Where the runner keeps what it wrote down about each environment. */
export interface RecordStorage {
  /** Ids of all environments that anything is written down about. */
  list(): Promise<string[]>;
  read(environmentId: string, document: RecordDocument): Promise<string | undefined>;
  /** Returns when the text is on the disk; a crash before leaves the old one. */
  write(environmentId: string, document: RecordDocument, text: string): Promise<void>;
  /** Takes all documents of the environment away; success when there are none. */
  remove(environmentId: string): Promise<void>;
}

/** The ledger in a file; its folder is made. */
export function openLedgerStorage(path: string): LedgerStorage {
  return {
    read: () => readText(path),
    write: (text) => writeDurably(path, text),
    setAside: () => setFileAside(path),
  };
}

/** Records under `<folder>/<environment id>/`. */
export function openRecordStorage(folder: string): RecordStorage {
  const pathOf = (environmentId: string, document: RecordDocument): string =>
    join(folder, requireId(environmentId, 'environment id'), `${document}.json`);
  return {
    async list() {
      const entries = await readdir(folder, { withFileTypes: true }).catch(absentAs([]));
      const ids = entries.filter((entry) => entry.isDirectory() && isId(entry.name)).map(({ name }) => name);
      const known = await Promise.all(ids.map((id) => readText(pathOf(id, 'state'))));
      return ids.filter((_, index) => known[index] !== undefined);
    },
    read: async (environmentId, document) => readText(pathOf(environmentId, document)),
    write: async (environmentId, document, text) => writeDurably(pathOf(environmentId, document), text),
    async remove(environmentId) {
      await rm(pathOf(environmentId, 'log-bases'), { force: true });
      await rm(pathOf(environmentId, 'configuration'), { force: true });
      await rm(pathOf(environmentId, 'state'), { force: true });
      const environmentFolder = join(folder, environmentId);
      // The disk may lie in the same folder and is the driver's: only an empty folder goes.
      const left = await readdir(environmentFolder).catch(absentAs(undefined));
      if (left?.length === 0) await rm(environmentFolder, { recursive: true, force: true });
    },
  };
}

/**
 * Replaces a file so that a reader and a crash see the old text or the new one and never a part: a
 * temporary file beside it, fsync, rename, fsync of the folder. `resource_exhausted` when the disk is full.
 */
export async function writeDurably(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  const temporary = `${path}.new`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const opened = await open(folder, 'r');
    try {
      await opened.sync();
    } finally {
      await opened.close();
    }
  } catch (error) {
    throw fileError(`${path} cannot be written`, error);
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw fileError(`${path} cannot be read`, error);
  }
}

async function setFileAside(path: string): Promise<string> {
  for (let count = 1; ; count += 1) {
    const aside = `${path}.unreadable-${count}`;
    if ((await readText(aside)) !== undefined) continue;
    await rename(path, aside);
    return aside;
  }
}

/** Gives `value` for a file or folder that does not exist and throws anything else on. */
export function absentAs<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isAbsent(error)) return value;
    throw fileError('A file of the runner cannot be used', error);
  };
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function fileError(what: string, error: unknown): AtelierError {
  const { code, message } = error as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new AtelierError(
    full ? 'resource_exhausted' : 'internal',
    full ? `${what}: the disk is full. Free some space.` : `${what}: ${message}.`,
    { cause: error },
  );
}
