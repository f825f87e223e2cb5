/** Lists of the store in memory: the same filters, order and pages as PostgreSQL's. */
import { AtelierError } from '@atelier/api';
import { kinds, type Query } from '@atelier/store';
import type { MemoryRecord } from './memory-database.ts';

const pageSizeDefault = 25;
const pageSizeMax = 100;

/** Of these records those of one page, the token of the next (empty on the last) and how many match in all. */
export function listRecords(
  records: Iterable<MemoryRecord>,
  query: Query,
): { records: MemoryRecord[]; nextToken: string; total: number } {
  const size =
    query.pageSize !== undefined && query.pageSize > 0
      ? Math.min(query.pageSize, pageSizeMax)
      : pageSizeDefault;
  const sortKey = sortKeyOf(query);
  const direction = query.sort?.order === 'descending' ? -1 : 1;
  const matching = [...records].filter((record) => matches(record, query));
  const position = (record: MemoryRecord): [string, string] => [sortKey(record), record.id];
  const sorted = matching.toSorted((one, other) => direction * compare(position(one), position(other)));
  const after = query.pageToken ? decodeToken(query.pageToken) : undefined;
  const rest =
    after === undefined
      ? sorted
      : sorted.filter((record) => direction * compare(position(record), after) > 0);
  const shown = rest.slice(0, size);
  const last = shown.at(-1);
  const nextToken = rest.length > size && last !== undefined ? encodeToken(position(last)) : '';
  return { records: shown, nextToken, total: matching.length };
}

function matches(record: MemoryRecord, query: Query): boolean {
  if (record.value === undefined) return false;
  if (query.organizationId !== undefined && record.organizationId !== query.organizationId) return false;
  if (query.environmentIds?.length && !query.environmentIds.includes(record.environmentId)) return false;
  if (query.ids?.length && !query.ids.includes(record.id)) return false;
  for (const [name, values] of Object.entries(query.attributes ?? {})) {
    if (values.length > 0 && !values.includes(record.attributes[name] ?? '')) return false;
  }
  if (query.createdBeforeMs !== undefined && record.id >= firstId(query.createdBeforeMs)) return false;
  const text = query.search?.toLowerCase();
  if (!text) return true;
  const places = [record.id, ...kinds[record.kind].searched.map((name) => record.attributes[name] ?? '')];
  return places.some((place) => place.toLowerCase().includes(text));
}

/** The smallest id that a row of this moment can have. */
function firstId(createdMs: number): string {
  const time = Math.floor(createdMs).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}`;
}

function sortKeyOf(query: Query): (record: MemoryRecord) => string {
  const by = query.sort?.by ?? 'id';
  if (by === 'id') return () => '';
  if (!/^[a-zA-Z]+$/.test(by)) {
    throw new AtelierError('invalid_argument', `cannot sort by ${JSON.stringify(by)}`);
  }
  return (record) => record.attributes[by] ?? '';
}

function compare(one: readonly [string, string], other: readonly [string, string]): number {
  return compareTexts(one[0], other[0]) || compareTexts(one[1], other[1]);
}

function compareTexts(one: string, other: string): number {
  if (one === other) return 0;
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

function encodeToken(position: readonly [string, string]): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

function decodeToken(token: string): [string, string] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    if (Array.isArray(parsed) && typeof parsed[0] === 'string' && typeof parsed[1] === 'string') {
      return [parsed[0], parsed[1]];
    }
  } catch {
    // Falls through to the one error below.
  }
  throw new AtelierError('invalid_argument', 'pagination.token is not a token of this list');
}
