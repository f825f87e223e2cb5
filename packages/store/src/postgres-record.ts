/** The tables as kysely sees them, and how a record becomes a row. */
import type { JsonValue } from '@bufbuild/protobuf';
import type { ColumnType, Selectable } from 'kysely';
import { kinds, type Kind } from './kinds.ts';
import type { Row } from './store.ts';

/** A bigint column: PostgreSQL's client gives and takes it as text. */
type Revision = ColumnType<string, string, string>;

/** The table of all resources. */
export interface ResourceTable {
  kind: string;
  id: string;
  organization_id: string;
  environment_id: string;
  revision: Revision;
  created_revision: Revision;
  content_revision: Revision;
  name_owner: string | null;
  name: string | null;
  idempotency_key: string | null;
  attributes: ColumnType<unknown, string, string>;
  /** Null on a tombstone. */
  data: ColumnType<JsonValue | null, string | null, string | null>;
}

/** A record of {@link ResourceTable} as read. */
export type ResourceRecord = Selectable<ResourceTable>;

/** All tables, by the names that they have in the database. */
export interface Database {
  resources: ResourceTable;
  horizon: { pruned_revision: Revision };
}

/** Makes a row of a live record; data that was just written is still text. */
export function readRow<K extends Kind>(kind: K, record: ResourceRecord): Row<K> {
  const json = typeof record.data === 'string' ? (JSON.parse(record.data) as JsonValue) : record.data;
  return {
    kind,
    id: record.id,
    organizationId: record.organization_id,
    environmentId: record.environment_id,
    revision: BigInt(record.revision),
    createdRevision: BigInt(record.created_revision),
    contentRevision: BigInt(record.content_revision),
    value: kinds[kind].fromJson(json),
  };
}
