/** Everything in a scope as it is at one revision, for watches that begin. */
import type { ChangeScope, Row, Store } from '@atelier/store';

const pageSize = 100;

/** Rows of a scope, and a revision that none of their later changes is at or below. */
export interface Snapshot {
  readonly rows: Row[];
  readonly revision: bigint;
}

/**
 * Reads all rows in scope. The revision is read first: a row that changes meanwhile is read in either state
 * and its change is above the revision, so a watcher may hear of it twice but never not at all.
 */
export async function readSnapshot(store: Store, scope: ChangeScope): Promise<Snapshot> {
  const revision = await store.revision();
  const rows: Row[] = [];
  for (const kind of scope.kinds ?? []) {
    const environmentIds =
      scope.environmentId !== undefined && kind !== 'environment' ? [scope.environmentId] : [];
    const ids = scope.environmentId !== undefined && kind === 'environment' ? [scope.environmentId] : [];
    let pageToken = '';
    do {
      const organization = scope.organizationId === undefined ? {} : { organizationId: scope.organizationId };
      const page = await store.list(kind, { ...organization, environmentIds, ids, pageSize, pageToken });
      rows.push(...page.rows);
      pageToken = page.nextToken;
    } while (pageToken !== '');
  }
  return { rows, revision };
}
