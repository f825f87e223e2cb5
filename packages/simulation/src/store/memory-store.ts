/**
 * The store in memory: the same contract as PostgreSQL, for the simulation alone. A write is whole at the
 * moment of its call, as a transaction that holds the one write lock is at its commit.
 */
import { AtelierError, toAtelierError } from '@atelier/api';
import {
  kinds,
  type Change,
  type Changes,
  type ChangeScope,
  type Kind,
  type KindValue,
  type NewRow,
  type Page,
  type Query,
  type Row,
  type Store,
  type UpdateOptions,
} from '@atelier/store';
import { copyOf } from './copy.ts';
import { listRecords } from './list.ts';
import { MemoryDatabase, type MemoryRecord } from './memory-database.ts';

/** Opens a store on a database in memory, a new one unless it is given. */
export function openMemoryStore(database = new MemoryDatabase()): Store {
  return new MemoryStore(database);
}

class MemoryStore implements Store {
  readonly #database: MemoryDatabase;

  constructor(database: MemoryDatabase) {
    this.#database = database;
  }

  async create<K extends Kind>(kind: K, row: NewRow<K>): Promise<Row<K>> {
    const earlier = row.idempotencyKey === undefined ? undefined : this.#byIdempotencyKey(kind, row);
    if (earlier?.value !== undefined) return rowOf(kind, earlier);
    if (earlier !== undefined) {
      const message = `${kind} ${earlier.id} was made with this key and has been deleted; come with a new key`;
      throw new AtelierError('failed_precondition', message);
    }
    if (this.#database.get(kind, row.id) !== undefined) {
      throw new AtelierError('already_exists', `a resource with the id ${row.id} exists already`);
    }
    this.#requireFreeName(kind, row.id, row.organizationId, row.name);
    const revision = this.#database.revision + 1n;
    const record: MemoryRecord = {
      kind,
      id: row.id,
      organizationId: row.organizationId,
      environmentId: row.environmentId ?? '',
      revision,
      createdRevision: revision,
      contentRevision: revision,
      name: row.name,
      idempotencyKey: row.idempotencyKey,
      ...stored(kind, row.value),
    };
    this.#database.add(record);
    this.#announce();
    return rowOf(kind, record);
  }

  async get<K extends Kind>(kind: K, id: string): Promise<Row<K> | undefined> {
    const record = this.#live(kind, id);
    return record && rowOf(kind, record);
  }

  async list<K extends Kind>(kind: K, query: Query): Promise<Page<K>> {
    requireText(query.search ?? '');
    const { records, nextToken, total } = listRecords(
      this.#database.candidates(kind, query.environmentIds),
      query,
    );
    const page: Page<K> = { rows: records.map((record) => rowOf(kind, record)), nextToken };
    return query.count === true ? { ...page, total } : page;
  }

  async update<K extends Kind>(
    kind: K,
    id: string,
    change: (value: KindValue<K>) => KindValue<K> | undefined,
    options: UpdateOptions = {},
  ): Promise<Row<K>> {
    const record = this.#live(kind, id);
    if (record === undefined) throw new AtelierError('not_found', `${kind} ${id} does not exist`);
    if (options.expectedRevision !== undefined && options.expectedRevision !== record.revision) {
      throw new AtelierError('aborted', `${kind} ${id} was changed by somebody else; read it again`);
    }
    const value = changed(change, rowOf(kind, record).value);
    if (value === undefined) return rowOf(kind, record);
    if (options.name !== undefined) this.#requireFreeName(kind, id, record.organizationId, options.name);
    const next = stored(kind, value);
    this.#database.touch(record);
    if (options.statusOnly !== true) record.contentRevision = record.revision;
    record.name = options.name ?? record.name;
    Object.assign(record, next);
    this.#announce();
    return rowOf(kind, record);
  }

  async delete(kind: Kind, id: string): Promise<boolean> {
    const record = this.#live(kind, id);
    if (record === undefined) return false;
    const owned = kind === 'environment' ? this.#database.ownedBy(id) : [];
    for (const doomed of [...owned, record]) {
      if (doomed.value === undefined) continue;
      doomed.value = undefined;
      doomed.attributes = {};
      this.#database.touch(doomed);
    }
    this.#announce();
    return true;
  }

  async changesSince(cursor: bigint, scope: ChangeScope): Promise<Changes> {
    const { revision: newest, prunedRevision } = this.#database;
    if (cursor < prunedRevision) return { resync: true, changes: [], revision: newest };
    const records = this.#database.changedSince(cursor).filter((record) => inScope(record, scope));
    return { resync: false, changes: records.map(changeOf), revision: newest };
  }

  async revision(): Promise<bigint> {
    return this.#database.revision;
  }

  async subscribe(wake: () => void): Promise<{ close(): Promise<void> }> {
    this.#database.subscribers.add(wake);
    return { close: async () => void this.#database.subscribers.delete(wake) };
  }

  async prune(revision: bigint): Promise<void> {
    this.#database.prune(revision);
  }

  async close(): Promise<void> {}

  #live(kind: Kind, id: string): MemoryRecord | undefined {
    requireText(id);
    const record = this.#database.get(kind, id);
    return record?.value === undefined ? undefined : record;
  }

  #byIdempotencyKey(kind: Kind, row: NewRow<Kind>): MemoryRecord | undefined {
    return [...this.#database.ofKind(kind)].find(
      (record) =>
        record.organizationId === row.organizationId && record.idempotencyKey === row.idempotencyKey,
    );
  }

  #requireFreeName(kind: Kind, id: string, organizationId: string, name: NewRow<Kind>['name']): void {
    if (name === undefined) return;
    const taken = [...this.#database.ofKind(kind)].some(
      (record) =>
        record.id !== id &&
        record.organizationId === organizationId &&
        record.value !== undefined &&
        record.name?.owner === name.owner &&
        record.name.text === name.text,
    );
    if (taken) throw new AtelierError('already_exists', 'the name is taken; choose another one');
  }

  #announce(): void {
    for (const wake of this.#database.subscribers) queueMicrotask(wake);
  }
}

function changed<Value>(change: (value: Value) => Value | undefined, value: Value): Value | undefined {
  try {
    return change(value);
  } catch (error) {
    throw toAtelierError(error);
  }
}

/** PostgreSQL has no zero character in its texts, so the contract refuses it. */
function requireText(text: string): void {
  if (!text.includes('\0')) return;
  throw new AtelierError('invalid_argument', 'the text holds a zero character, which cannot be stored');
}

function stored<K extends Kind>(kind: K, value: KindValue<K>): Pick<MemoryRecord, 'attributes' | 'value'> {
  return { attributes: kinds[kind].attributes(value), value: copyOf(value, requireText) };
}

// Whoever reads a row may change it: each gets a copy, as from a database.
function rowOf<K extends Kind>(kind: K, record: MemoryRecord): Row<K> {
  const { id, organizationId, environmentId, revision, createdRevision, contentRevision } = record;
  const value = copyOf(record.value) as KindValue<K>;
  return { kind, id, organizationId, environmentId, revision, createdRevision, contentRevision, value };
}

function changeOf(record: MemoryRecord): Change {
  if (record.value !== undefined) return { type: 'row', row: rowOf(record.kind, record) };
  const { kind, id, organizationId, environmentId, revision } = record;
  return { type: 'deleted', kind, id, organizationId, environmentId, revision };
}

function inScope(record: MemoryRecord, scope: ChangeScope): boolean {
  const { organizationId, environmentId, kinds: wanted } = scope;
  if (organizationId !== undefined && record.organizationId !== organizationId) return false;
  if (wanted !== undefined && !wanted.includes(record.kind)) return false;
  if (environmentId === undefined || record.environmentId === environmentId) return true;
  return record.kind === 'environment' && record.id === environmentId;
}
