/** Lists read to their last page. */
import type { Kind, Query, Row, Store } from '@atelier/store';

/** Every row of a query, for lists that are known to be short. */
export async function allRows<K extends Kind>(store: Store, kind: K, query: Query = {}): Promise<Row<K>[]> {
  const rows: Row<K>[] = [];
  for (let pageToken = ''; ;) {
    const page = await store.list(kind, { ...query, pageSize: 100, pageToken });
    rows.push(...page.rows);
    if (page.nextToken === '') return rows;
    pageToken = page.nextToken;
  }
}
