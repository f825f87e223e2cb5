/** What the runner keeps on its own disk, on the simulated one. */
import type { LedgerStorage, LogStorage, RecordStorage } from '@atelier/runner';
import type { SimulatedDisk } from '../world/disk.ts';

const ledgerPath = 'ledger';
const recordsFolder = 'environments/';

/** The ledger of a runner. */
export function ledgerStorage(disk: SimulatedDisk): LedgerStorage {
  return {
    read: () => disk.read(ledgerPath),
    write: (text) => disk.write(ledgerPath, text),
    async setAside() {
      const aside = `${ledgerPath}.unreadable`;
      await disk.write(aside, await disk.read(ledgerPath));
      await disk.write(ledgerPath, undefined);
      return aside;
    },
  };
}

/** The records of a runner. */
export function recordStorage(disk: SimulatedDisk): RecordStorage {
  const pathOf = (environmentId: string, document: string): string =>
    `${recordsFolder}${environmentId}/${document}`;
  return {
    list: async () => recordedIds(disk),
    read: (environmentId, document) => disk.read(pathOf(environmentId, document)),
    write: (environmentId, document, text) => disk.write(pathOf(environmentId, document), text),
    async remove(environmentId) {
      await disk.write(pathOf(environmentId, 'configuration'), undefined);
      await disk.write(pathOf(environmentId, 'state'), undefined);
    },
  };
}

/** Ids of all environments that the disk has a state of. */
export function recordedIds(disk: SimulatedDisk): string[] {
  return disk.paths().flatMap((path) => {
    const [, id, document] = path.split('/');
    return id !== undefined && document === 'state' ? [id] : [];
  });
}

/** Ids of all environments in the ledger. */
export function ledgerIds(disk: SimulatedDisk): string[] {
  const document = JSON.parse(disk.peek(ledgerPath) ?? '{}') as LedgerDocument;
  const environments = [...(document.desired?.environments ?? []), ...(document.unnamed?.environments ?? [])];
  return environments.map(({ environment }) => environment.id);
}

interface LedgerDocument {
  readonly desired?: LedgerPart;
  readonly unnamed?: LedgerPart;
}

interface LedgerPart {
  readonly environments?: ReadonlyArray<{ readonly environment: { readonly id: string } }>;
}

/** Logs that are measured and not kept: nothing that is decided depends on their text. */
export function logStorage(): LogStorage {
  const lengths = new Map<string, Map<string, number>>();
  const ofEnvironment = (environmentId: string): Map<string, number> => {
    const known = lengths.get(environmentId) ?? new Map<string, number>();
    lengths.set(environmentId, known);
    return known;
  };
  return {
    length: async (environmentId, name) => ofEnvironment(environmentId).get(name) ?? 0,
    append: async (environmentId, name, offset, data) =>
      void ofEnvironment(environmentId).set(name, offset + data.length),
    read: async (_environmentId, _name, offset) => ({ offset, data: new Uint8Array() }),
    names: async (environmentId) => [...ofEnvironment(environmentId).keys()].toSorted(),
    remove: async (environmentId) => void lengths.delete(environmentId),
  };
}
