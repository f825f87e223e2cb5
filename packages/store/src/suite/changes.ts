/** Cases of changesSince, tombstones and prune. */
import { describe, expect, it } from 'vitest';
import type { Change, Changes, Store } from '../store.ts';
import {
  counted,
  freshId,
  makeEnvironment,
  makeService,
  organizationId,
  type StoreSubject,
} from './subject.ts';

const writers = 6;
const writesEach = 20;

/** Registers the cases. */
export function changeCases(subject: () => StoreSubject): void {
  const store = () => subject().store;

  describe('changes since a cursor', () => {
    it('are none at the newest revision', async () => {
      await makeEnvironment(store());
      const revision = await store().revision();
      expect(await store().changesSince(revision, {})).toEqual({ resync: false, changes: [], revision });
    });

    it('are told oldest first, a row that changed twice once and as it is now', async () => {
      const first = await makeEnvironment(store());
      const second = await makeEnvironment(store());
      const cursor = await store().revision();
      await store().update('environment', first.id, counted);
      const secondNow = await store().update('environment', second.id, counted);
      const firstNow = await store().update('environment', first.id, counted);
      const { changes, revision } = await store().changesSince(cursor, {});
      expect(changes).toEqual([
        { type: 'row', row: secondNow },
        { type: 'row', row: firstNow },
      ]);
      expect(revision).toBe(firstNow.revision);
    });

    it('name what was deleted', async () => {
      const environment = await makeEnvironment(store());
      const service = await makeService(store(), environment.id);
      const cursor = await store().revision();
      await store().delete('service', service.id);
      const revision = await store().revision();
      const { id } = service;
      const gone = {
        type: 'deleted',
        kind: 'service',
        id,
        organizationId,
        environmentId: environment.id,
        revision,
      };
      expect((await store().changesSince(cursor, {})).changes).toEqual([gone]);
    });

    it('can be those of one organization, one environment, some kinds', async () => {
      const foreign = await makeEnvironment(store(), {}, { organizationId: 'another' });
      const one = await makeEnvironment(store());
      const two = await makeEnvironment(store());
      const service = await makeService(store(), one.id);
      const idsIn = async (scope: Parameters<Store['changesSince']>[1]) =>
        (await store().changesSince(0n, scope)).changes.map(idOf);
      expect(await idsIn({ organizationId: 'another' })).toEqual([foreign.id]);
      expect(await idsIn({ environmentId: one.id })).toEqual([one.id, service.id]);
      expect(await idsIn({ environmentId: one.id, kinds: ['service'] })).toEqual([service.id]);
      expect(await idsIn({ kinds: ['environment'] })).toEqual([foreign.id, one.id, two.id]);
      expect(await idsIn({ environmentId: freshId() })).toEqual([]);
    });

    it('end at the newest revision, also when the scope has none', async () => {
      await makeEnvironment(store());
      const { revision } = await store().changesSince(0n, { kinds: ['token'] });
      expect(revision).toBe(await store().revision());
    });

    it('miss nothing and hide nothing behind a later change, whatever writes at once', async () => {
      const replica = (await subject().reopen?.()) ?? store();
      const told = { known: new Map<string, bigint>(), content: new Map<string, bigint>(), hidden: 0 };
      let cursor = 0n;
      let writing = true;
      const watch = async (): Promise<void> => {
        for (let last = false; !last;) {
          last = !writing;
          const batch = await replica.changesSince(cursor, {});
          take(told, batch, cursor);
          cursor = batch.revision;
        }
      };
      const watching = watch();
      await Promise.all(Array.from({ length: writers }, (_, index) => write(index % 2 ? store() : replica)));
      writing = false;
      await watching;
      const rows = (await store().changesSince(0n, {})).changes;
      expect(told.known).toEqual(new Map(rows.map((change) => [idOf(change), revisionOf(change)])));
      expect(told.hidden).toBe(0);
    });
  });

  describe('pruned tombstones', () => {
    it('make a cursor before them begin again, and leave a later one as it is', async () => {
      const { id } = await makeEnvironment(store());
      const kept = await makeEnvironment(store());
      const before = await store().revision();
      await store().delete('environment', id);
      const after = await store().revision();
      await store().prune(after);
      expect(await store().changesSince(before, {})).toEqual({ resync: true, changes: [], revision: after });
      expect(await store().changesSince(after, {})).toEqual({ resync: false, changes: [], revision: after });
      expect(await store().get('environment', kept.id)).toEqual(kept);
      expect(await store().revision()).toBe(after);
    });

    it('leave every cursor as it is when there were none', async () => {
      const { id } = await makeEnvironment(store());
      await store().prune(await store().revision());
      expect((await store().changesSince(0n, {})).changes.map(idOf)).toEqual([id]);
    });

    it('do not take the revisions that are still to come', async () => {
      const { id } = await makeEnvironment(store());
      await store().delete('environment', id);
      await store().prune(1_000_000n);
      const cursor = await store().revision();
      const next = await makeEnvironment(store());
      expect((await store().changesSince(cursor, {})).changes.map(idOf)).toEqual([next.id]);
    });

    it('leave those of later deletions', async () => {
      const first = await makeEnvironment(store());
      const second = await makeEnvironment(store());
      await store().delete('environment', first.id);
      const cursor = await store().revision();
      await store().delete('environment', second.id);
      await store().prune(cursor);
      expect((await store().changesSince(cursor, {})).changes.map(idOf)).toEqual([second.id]);
    });
  });
}

interface Told {
  readonly known: Map<string, bigint>;
  readonly content: Map<string, bigint>;
  /** Changes of content that came as if they had been told before. */
  hidden: number;
}

function take(told: Told, batch: Changes, cursor: bigint): void {
  let last = cursor;
  for (const change of batch.changes) {
    expect(revisionOf(change)).toBeGreaterThan(last);
    last = revisionOf(change);
    told.known.set(idOf(change), last);
    if (change.type !== 'row') continue;
    const { id, contentRevision } = change.row;
    const news = contentRevision > cursor;
    if (!news && told.content.get(id) !== contentRevision) told.hidden += 1;
    told.content.set(id, contentRevision);
  }
  expect(batch.revision).toBeGreaterThanOrEqual(last);
}

/** Creates, changes by turns content and status, and deletes. */
async function write(store: Store): Promise<void> {
  let { id } = await makeEnvironment(store);
  for (let count = 0; count < writesEach; count += 1) {
    await store.update('environment', id, counted, { statusOnly: count % 2 === 0 });
    if (count % 7 === 6) await store.delete('environment', id);
    if (count % 7 === 6) ({ id } = await makeEnvironment(store));
  }
}

function idOf(change: Change): string {
  return change.type === 'row' ? change.row.id : change.id;
}

function revisionOf(change: Change): bigint {
  return change.type === 'row' ? change.row.revision : change.revision;
}
