/**
 * The store on PostgreSQL. Writers take one advisory lock for the length of their transaction, so that
 * revisions become visible in the order of their numbers; readers never wait.
 */
import { AtelierError, toAtelierError, type Clock } from '@atelier/api';
import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
import { Migrator } from 'kysely/migration';
import { Pool } from 'pg';
import { kinds, type Kind, type KindValue } from './kinds.ts';
import { migrations } from './migrations/index.ts';
import { migrationError, storeError } from './postgres-error.ts';
import { listRows } from './postgres-list.ts';
import { subscribeToChanges } from './postgres-notify.ts';
import { readRow, type Database, type ResourceRecord } from './postgres-record.ts';
import type {
  Change,
  Changes,
  ChangeScope,
  NewRow,
  Page,
  Query,
  Row,
  Store,
  UpdateOptions,
} from './store.ts';

/** How to reach the database. */
export interface PostgresOptions {
  /** A connection string of libpq form. */
  readonly url: string;
  readonly clock: Clock;
  /** Connections at most; the default is 8. */
  readonly connectionsMax?: number;
}

/** Every writer of a plane's database takes this lock: the letters "atel". */
const writeLock = 0x6174656c;
/** The channel on which each write is announced. */
const channel = 'atelier_changes';

/** Connects, brings the schema up to date, and gives the store. Errors: `unavailable`, `failed_precondition`. */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  const pool = new Pool({ connectionString: options.url, max: options.connectionsMax ?? 8 });
  // A dropped idle connection is replaced by the pool; calls in flight see their own errors.
  pool.on('error', () => undefined);
  const database = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) {
    await database.destroy();
    throw migrationError(error);
  }
  return new PostgresStore(database, options);
}

class PostgresStore implements Store {
  readonly #database: Kysely<Database>;
  readonly #options: PostgresOptions;

  constructor(database: Kysely<Database>, options: PostgresOptions) {
    this.#database = database;
    this.#options = options;
  }

  create<K extends Kind>(kind: K, row: NewRow<K>): Promise<Row<K>> {
    return this.#write(async ({ transaction, nextRevision }) => {
      const earlier = await findByIdempotencyKey(transaction, kind, row);
      if (earlier?.data) return readRow(kind, earlier);
      if (earlier) {
        throw new AtelierError(
          'failed_precondition',
          `the idempotency key made ${kind} ${earlier.id}, which was deleted since; use another key`,
        );
      }
      const revision = await nextRevision();
      const record = {
        kind,
        id: row.id,
        organization_id: row.organizationId,
        environment_id: row.environmentId ?? '',
        revision,
        created_revision: revision,
        content_revision: revision,
        name_owner: row.name?.owner ?? null,
        name: row.name?.text ?? null,
        idempotency_key: row.idempotencyKey ?? null,
        ...encoded(kind, row.value),
      };
      await transaction.insertInto('resources').values(record).execute();
      return readRow(kind, record as ResourceRecord);
    });
  }

  async get<K extends Kind>(kind: K, id: string): Promise<Row<K> | undefined> {
    const record = await this.#read((database) => selectLive(database, kind, id).executeTakeFirst());
    return record && readRow(kind, record);
  }

  list<K extends Kind>(kind: K, query: Query): Promise<Page<K>> {
    return this.#read((database) => listRows(database, kind, query));
  }

  update<K extends Kind>(
    kind: K,
    id: string,
    change: (value: KindValue<K>) => KindValue<K> | undefined,
    options: UpdateOptions = {},
  ): Promise<Row<K>> {
    return this.#write(async ({ transaction, nextRevision }) => {
      const record = await selectLive(transaction, kind, id).executeTakeFirst();
      if (!record) throw new AtelierError('not_found', `${kind} ${id} does not exist`);
      const before = readRow(kind, record);
      if (options.expectedRevision !== undefined && options.expectedRevision !== before.revision) {
        throw new AtelierError('aborted', `${kind} ${id} was changed by somebody else; read it again`);
      }
      const value = computed(() => change(before.value));
      if (value === undefined) return readRow(kind, record);
      const revision = await nextRevision();
      const changes = {
        revision,
        content_revision: options.statusOnly ? record.content_revision : revision,
        ...(options.name ? { name_owner: options.name.owner, name: options.name.text } : {}),
        ...encoded(kind, value),
      };
      await transaction
        .updateTable('resources')
        .set(changes)
        .where('kind', '=', kind)
        .where('id', '=', id)
        .execute();
      return readRow(kind, { ...record, ...changes } as ResourceRecord);
    });
  }

  delete(kind: Kind, id: string): Promise<boolean> {
    return this.#write(async ({ transaction, nextRevision }) => {
      const record = await selectLive(transaction, kind, id).executeTakeFirst();
      if (!record) return false;
      const doomed = [{ kind, id }];
      if (kind === 'environment') {
        const owned = await transaction
          .selectFrom('resources')
          .select(['kind', 'id'])
          .where('environment_id', '=', id)
          .where('data', 'is not', null)
          .execute();
        doomed.unshift(...owned.map((row) => ({ kind: row.kind as Kind, id: row.id })));
      }
      for (const row of doomed) {
        await transaction
          .updateTable('resources')
          .set({ data: null, attributes: '{}', revision: await nextRevision() })
          .where('kind', '=', row.kind)
          .where('id', '=', row.id)
          .execute();
      }
      return true;
    });
  }

  changesSince(cursor: bigint, scope: ChangeScope): Promise<Changes> {
    // One statement sees one snapshot: a row that changes between two looks would hide its earlier change.
    return this.#read(async (database) => {
      const rows = await selectChanged(database, cursor, scope).execute();
      const revision = BigInt(rows[0]?.newest_revision ?? 0);
      if (cursor < BigInt(rows[0]?.pruned_revision ?? 0)) return { resync: true, changes: [], revision };
      const changes = rows.flatMap((record) =>
        record.kind === null ? [] : [changeOf(record as ResourceRecord)],
      );
      return { resync: false, changes, revision };
    });
  }

  revision(): Promise<bigint> {
    return this.#read(newestRevision);
  }

  async subscribe(wake: () => void): Promise<{ close(): Promise<void> }> {
    const { url, clock } = this.#options;
    try {
      return await subscribeToChanges({ url, clock, channel, wake });
    } catch (error) {
      throw storeError(error);
    }
  }

  async prune(revision: bigint): Promise<void> {
    await this.#write(async ({ transaction }) => {
      await sql`
        with dropped as (
          delete from resources where data is null and revision <= ${String(revision)}::bigint returning revision
        )
        update horizon
        set pruned_revision = greatest(pruned_revision, (select max(revision) from dropped))`.execute(
        transaction,
      );
    });
  }

  close(): Promise<void> {
    return this.#database.destroy();
  }

  async #read<T>(work: (database: Kysely<Database>) => Promise<T>): Promise<T> {
    try {
      return await work(this.#database);
    } catch (error) {
      throw storeError(error);
    }
  }

  async #write<T>(work: (writing: Writing) => Promise<T>): Promise<T> {
    try {
      // After the wait for the lock every statement must see what the writer before has written.
      const write = this.#database.transaction().setIsolationLevel('read committed');
      return await write.execute(async (transaction) => {
        await sql`select pg_advisory_xact_lock(${writeLock})`.execute(transaction);
        const nextRevision = async (): Promise<string> => {
          const { rows } = await sql<{ revision: string }>`
            select nextval('revisions') as revision, pg_notify(${channel}, '')`.execute(transaction);
          return rows[0]?.revision ?? '0';
        };
        return work({ transaction, nextRevision });
      });
    } catch (error) {
      throw storeError(error);
    }
  }
}

/** A write that goes on. Whoever takes a revision changes something: watchers are woken when it is committed. */
interface Writing {
  readonly transaction: Transaction<Database>;
  readonly nextRevision: () => Promise<string>;
}

function encoded<K extends Kind>(kind: K, value: KindValue<K>): { attributes: string; data: string } {
  const definition = kinds[kind];
  return computed(() => ({
    attributes: JSON.stringify(definition.attributes(value)),
    data: JSON.stringify(definition.toJson(value)),
  }));
}

/** What the caller's own code throws is not the database's fault. */
function computed<T>(compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    throw toAtelierError(error);
  }
}

function selectLive(database: Kysely<Database>, kind: Kind, id: string) {
  return database
    .selectFrom('resources')
    .selectAll()
    .where('kind', '=', kind)
    .where('id', '=', id)
    .where('data', 'is not', null);
}

async function findByIdempotencyKey(
  transaction: Transaction<Database>,
  kind: Kind,
  { organizationId, idempotencyKey }: NewRow<Kind>,
): Promise<ResourceRecord | undefined> {
  if (idempotencyKey === undefined) return undefined;
  return transaction
    .selectFrom('resources')
    .selectAll()
    .where('kind', '=', kind)
    .where('organization_id', '=', organizationId)
    .where('idempotency_key', '=', idempotencyKey)
    .executeTakeFirst();
}

/** What changed, with the newest revision and the horizon in each row; one row without a change when nothing did. */
function selectChanged(database: Kysely<Database>, cursor: bigint, scope: ChangeScope) {
  const { organizationId, environmentId, kinds: wanted } = scope;
  return database
    .selectFrom('horizon')
    .leftJoin('resources', (join) => {
      let on = join.on('resources.revision', '>', String(cursor));
      if (organizationId !== undefined) on = on.on('resources.organization_id', '=', organizationId);
      if (wanted !== undefined) on = on.on('resources.kind', 'in', [...wanted]);
      if (environmentId === undefined) return on;
      return on.on((where) =>
        where.or([
          where('resources.environment_id', '=', environmentId),
          where.and([where('resources.kind', '=', 'environment'), where('resources.id', '=', environmentId)]),
        ]),
      );
    })
    .selectAll('resources')
    .select(['horizon.pruned_revision', newestCommitted.as('newest_revision')])
    .orderBy('resources.revision');
}

/** The newest committed revision: the sequence itself may be ahead of it by a transaction that goes on. */
const newestCommitted = sql<string>`
  greatest((select coalesce(max(revision), 0) from resources), (select pruned_revision from horizon))`;

async function newestRevision(database: Kysely<Database>): Promise<bigint> {
  const { rows } = await sql<{ revision: string }>`select ${newestCommitted} as revision`.execute(database);
  return BigInt(rows[0]?.revision ?? 0);
}

function changeOf(record: ResourceRecord): Change {
  const kind = record.kind as Kind;
  if (record.data) return { type: 'row', row: readRow(kind, record) };
  return {
    type: 'deleted',
    kind,
    id: record.id,
    organizationId: record.organization_id,
    environmentId: record.environment_id,
    revision: BigInt(record.revision),
  };
}
