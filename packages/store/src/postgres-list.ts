/** Lists: filters, order and pages by key, so that rows that come and go move nobody else's page. */
import { AtelierError } from '@atelier/api';
import { sql, type Kysely, type RawBuilder } from 'kysely';
import { kinds, type Kind } from './kinds.ts';
import { decodePageToken, encodePageToken } from './page-token.ts';
import { readRow, type Database, type ResourceRecord } from './postgres-record.ts';
import type { Page, Query } from './store.ts';

const pageSizeDefault = 25;
const pageSizeMax = 100;

/** One page of the kind's rows that match the query. */
export async function listRows<K extends Kind>(
  database: Kysely<Database>,
  kind: K,
  query: Query,
): Promise<Page<K>> {
  const size = query.pageSize && query.pageSize > 0 ? Math.min(query.pageSize, pageSizeMax) : pageSizeDefault;
  const conditions = conditionsOf(kind, query);
  const sortKey = sortKeyOf(query);
  const descending = query.sort?.order === 'descending';
  const paged = [...conditions];
  if (query.pageToken) {
    const position = decodePageToken(query.pageToken);
    const compare = descending ? sql`<` : sql`>`;
    paged.push(sql`(${sortKey}, id) ${compare} (${position.sortKey}, ${position.id})`);
  }
  const direction = descending ? sql`desc` : sql`asc`;
  const { rows: records } = await sql<ResourceRecord & { sort_key: string }>`
    select *, ${sortKey} as sort_key from resources
    where ${sql.join(paged, sql` and `)}
    order by sort_key ${direction}, id ${direction}
    limit ${size + 1}`.execute(database);
  const shown = records.slice(0, size);
  const last = shown.at(-1);
  const nextToken =
    records.length > size && last ? encodePageToken({ sortKey: last.sort_key, id: last.id }) : '';
  const page: Page<K> = { rows: shown.map((record) => readRow(kind, record)), nextToken };
  return query.count ? { ...page, total: await countRows(database, conditions) } : page;
}

async function countRows(database: Kysely<Database>, conditions: RawBuilder<unknown>[]): Promise<number> {
  const { rows } = await sql<{ total: string }>`
    select count(*) as total from resources where ${sql.join(conditions, sql` and `)}`.execute(database);
  return Number(rows[0]?.total ?? 0);
}

/** What is sorted by, as text in byte order: ids sort by creation. */
function sortKeyOf(query: Query): RawBuilder<string> {
  const by = query.sort?.by ?? 'id';
  if (by === 'id') return sql`''::text`;
  if (!/^[a-zA-Z]+$/.test(by))
    throw new AtelierError('invalid_argument', `cannot sort by ${JSON.stringify(by)}`);
  return sql`coalesce(attributes->>${sql.lit(by)}, '') collate "C"`;
}

function conditionsOf(kind: Kind, query: Query): RawBuilder<unknown>[] {
  const conditions: RawBuilder<unknown>[] = [sql`kind = ${kind}`, sql`data is not null`];
  if (query.organizationId !== undefined) conditions.push(sql`organization_id = ${query.organizationId}`);
  if (query.environmentIds?.length) conditions.push(sql`environment_id = any(${[...query.environmentIds]})`);
  if (query.ids?.length) conditions.push(sql`id = any(${[...query.ids]})`);
  for (const [name, values] of Object.entries(query.attributes ?? {})) {
    if (values.length > 0) conditions.push(sql`attributes->>${name} = any(${[...values]})`);
  }
  if (query.search) {
    const pattern = `%${query.search.replace(/[\\%_]/g, String.raw`\$&`)}%`;
    const places = [sql`id`, ...kinds[kind].searched.map((name) => sql`attributes->>${name}`)];
    conditions.push(
      sql`(${sql.join(
        places.map((place) => sql`${place} ilike ${pattern}`),
        sql` or `,
      )})`,
    );
  }
  if (query.createdBeforeMs !== undefined) {
    const time = Math.floor(query.createdBeforeMs).toString(16).padStart(12, '0');
    conditions.push(sql`id < ${`${time.slice(0, 8)}-${time.slice(8)}`}`);
  }
  return conditions;
}
