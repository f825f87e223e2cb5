/** The runner's disk in memory, which outlives a runner that was killed. */
import type { LogStorage } from '../log-storage.ts';
import type { LedgerStorage, RecordStorage } from '../storage.ts';

/** All storages of a runner. Texts can be looked at and spoilt by a test. */
export class MemoryDisk {
  ledgerText: string | undefined;
  readonly setAside: string[] = [];
  readonly documents = new Map<string, string>();
  readonly logBytes = new Map<string, Uint8Array>();

  readonly ledger: LedgerStorage = {
    read: async () => this.ledgerText,
    write: async (text) => void (this.ledgerText = text),
    setAside: async () => {
      this.setAside.push(this.ledgerText ?? '');
      this.ledgerText = undefined;
      return `ledger.json.unreadable-${this.setAside.length}`;
    },
  };

  readonly records: RecordStorage = {
    list: async () =>
      [...this.documents.keys()].filter((key) => key.endsWith('/state')).map((key) => key.slice(0, 36)),
    read: async (id, document) => this.documents.get(`${id}/${document}`),
    write: async (id, document, text) => void this.documents.set(`${id}/${document}`, text),
    remove: async (id) => {
      for (const key of this.documents.keys()) if (key.startsWith(`${id}/`)) this.documents.delete(key);
    },
  };

  readonly logs: LogStorage = {
    length: async (id, name) => this.logBytes.get(`${id}/${name}`)?.length ?? 0,
    append: async (id, name, offset, data) => {
      const before = this.logBytes.get(`${id}/${name}`) ?? new Uint8Array();
      this.logBytes.set(`${id}/${name}`, Buffer.concat([before, Buffer.alloc(offset - before.length), data]));
    },
    read: async (id, name, offset, bytesMax) => {
      const bytes = this.logBytes.get(`${id}/${name}`) ?? new Uint8Array();
      return { offset, data: bytes.subarray(offset, offset + bytesMax) };
    },
    names: async (id) =>
      [...this.logBytes.keys()].filter((key) => key.startsWith(`${id}/`)).map((key) => key.slice(37)),
    remove: async (id) => {
      for (const key of this.logBytes.keys()) if (key.startsWith(`${id}/`)) this.logBytes.delete(key);
    },
  };
}
