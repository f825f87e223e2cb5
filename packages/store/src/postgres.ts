/**
 * The store on PostgreSQL. Writers take one advisory lock for the length of their transaction, so that
 * revisions become visible in the order of their numbers; readers never wait.
 */
import { AtelierError, type Clock } from '@atelier/api';
import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
import { Migrator } from 'kysely/migration';
import { DatabaseError, Pool } from 'pg';
import { kinds, type Kind, type KindValue } from './kinds.ts';
import { migrations } from './migrations/index.ts';
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
    throw new AtelierError('unavailable', `the database could not be prepared: ${messageOf(error)}`, {
      cause: error,
    });
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
    return this.#write(async (transaction) => {
      if (row.idempotencyKey !== undefined) {
        const earlier = await transaction
          .selectFrom('resources')
          .selectAll()
          .where('kind', '=', kind)
          .where('organization_id', '=', row.organizationId)
          .where('idempotency_key', '=', row.idempotencyKey)
          .executeTakeFirst();
        if (earlier?.data) return readRow(kind, earlier);
      }
      const revision = await nextRevision(transaction);
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
    return this.#write(async (transaction) => {
      const record = await selectLive(transaction, kind, id).executeTakeFirst();
      if (!record) throw new AtelierError('not_found', `${kind} ${id} does not exist`);
      const before = readRow(kind, record);
      if (options.expectedRevision !== undefined && options.expectedRevision !== before.revision) {
        throw new AtelierError('aborted', `${kind} ${id} was changed by somebody else; read it again`);
      }
      const value = change(before.value);
      if (value === undefined) return readRow(kind, record);
      const revision = await nextRevision(transaction);
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
    return this.#write(async (transaction) => {
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
          .set({ data: null, attributes: '{}', revision: await nextRevision(transaction) })
          .where('kind', '=', row.kind)
          .where('id', '=', row.id)
          .execute();
      }
      return true;
    });
  }

  changesSince(cursor: bigint, scope: ChangeScope): Promise<Changes> {
    return this.#read(async (database) => {
      const { pruned_revision } = await database.selectFrom('horizon').selectAll().executeTakeFirstOrThrow();
      const newest = await newestRevision(database);
      if (cursor < BigInt(pruned_revision)) return { resync: true, changes: [], revision: newest };
      const limit = scope.limit ?? 1000;
      let query = database
        .selectFrom('resources')
        .selectAll()
        .where('revision', '>', String(cursor))
        .where('revision', '<=', String(newest))
        .orderBy('revision')
        .limit(limit);
      if (scope.organizationId !== undefined)
        query = query.where('organization_id', '=', scope.organizationId);
      if (scope.kinds !== undefined) query = query.where('kind', 'in', [...scope.kinds]);
      if (scope.environmentId !== undefined) {
        const environmentId = scope.environmentId;
        query = query.where((where) =>
          where.or([
            where('environment_id', '=', environmentId),
            where.and([where('kind', '=', 'environment'), where('id', '=', environmentId)]),
          ]),
        );
      }
      const records = await query.execute();
      const last = records.at(-1);
      const revision = records.length === limit && last ? BigInt(last.revision) : newest;
      return { resync: false, changes: records.map(changeOf), revision };
    });
  }

  revision(): Promise<bigint> {
    return this.#read(newestRevision);
  }

  subscribe(wake: () => void): Promise<{ close(): Promise<void> }> {
    return subscribeToChanges({ url: this.#options.url, clock: this.#options.clock, channel, wake });
  }

  async prune(revision: bigint): Promise<void> {
    await this.#write(async (transaction) => {
      const pruned = await transaction
        .deleteFrom('resources')
        .where('data', 'is', null)
        .where('revision', '<=', String(revision))
        .executeTakeFirst();
      if (pruned.numDeletedRows === 0n) return;
      await transaction
        .updateTable('horizon')
        .set({ pruned_revision: sql`greatest(pruned_revision, ${String(revision)}::bigint)` })
        .execute();
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

  async #write<T>(work: (transaction: Transaction<Database>) => Promise<T>): Promise<T> {
    try {
      return await this.#database.transaction().execute(async (transaction) => {
        await sql`select pg_advisory_xact_lock(${writeLock})`.execute(transaction);
        const result = await work(transaction);
        await sql`select pg_notify(${channel}, '')`.execute(transaction);
        return result;
      });
    } catch (error) {
      throw storeError(error);
    }
  }
}

function encoded<K extends Kind>(kind: K, value: KindValue<K>): { attributes: string; data: string } {
  const definition = kinds[kind];
  return {
    attributes: JSON.stringify(definition.attributes(value)),
    data: JSON.stringify(definition.toJson(value)),
  };
}

function selectLive(database: Kysely<Database>, kind: Kind, id: string) {
  return database
    .selectFrom('resources')
    .selectAll()
    .where('kind', '=', kind)
    .where('id', '=', id)
    .where('data', 'is not', null);
}

async function nextRevision(database: Kysely<Database>): Promise<string> {
  const { rows } = await sql<{ revision: string }>`select nextval('revisions') as revision`.execute(database);
  return rows[0]?.revision ?? '0';
}

/** The newest committed revision: the sequence itself may be ahead of it by a transaction that goes on. */
async function newestRevision(database: Kysely<Database>): Promise<bigint> {
  const { rows } = await sql<{ revision: string }>`
    select greatest((select coalesce(max(revision), 0) from resources), (select pruned_revision from horizon))
      as revision`.execute(database);
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Maps what PostgreSQL and its client raise to our codes. */
function storeError(error: unknown): AtelierError {
  if (error instanceof AtelierError) return error;
  if (error instanceof DatabaseError && error.code === '23505') {
    if (error.constraint === 'resources_by_name') {
      return new AtelierError('already_exists', 'the name is taken; choose another one', { cause: error });
    }
    return new AtelierError('already_exists', 'a resource with this id exists already', { cause: error });
  }
  if (error instanceof DatabaseError && error.code?.startsWith('53')) {
    return new AtelierError('resource_exhausted', `the database has no room left: ${error.message}`, {
      cause: error,
    });
  }
  return new AtelierError('unavailable', `the database did not answer: ${messageOf(error)}`, {
    cause: error,
  });
}
