import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * The first schema. One table for all kinds: a row is found by kind and id, listed by attributes, told to
 * watchers by revision. A deleted row stays as a tombstone without data until it is pruned.
 */
export const migration: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await sql`create sequence revisions`.execute(database);
    await sql`
      create table resources (
        kind text not null,
        id text collate "C" not null,
        organization_id text not null,
        environment_id text not null,
        revision bigint not null,
        created_revision bigint not null,
        content_revision bigint not null,
        name_owner text,
        name text,
        idempotency_key text,
        attributes jsonb not null,
        data jsonb,
        primary key (kind, id)
      )`.execute(database);
    await sql`create unique index resources_by_revision on resources (revision)`.execute(database);
    await sql`
      create unique index resources_by_name on resources (kind, organization_id, name_owner, name)
      where data is not null and name is not null`.execute(database);
    await sql`
      create unique index resources_by_idempotency_key on resources (kind, organization_id, idempotency_key)
      where idempotency_key is not null`.execute(database);
    await sql`create index resources_by_environment on resources (environment_id, kind) where data is not null`.execute(
      database,
    );
    await sql`create index resources_by_attributes on resources using gin (attributes jsonb_path_ops)`.execute(
      database,
    );
    await sql`create table horizon (pruned_revision bigint not null)`.execute(database);
    await sql`insert into horizon values (0)`.execute(database);
  },
};
