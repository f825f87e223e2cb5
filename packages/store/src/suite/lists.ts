/** Cases of list: filters, search, order, count and pages. */
import { describe, expect, it } from 'vitest';
import type { Query, Row, Store } from '../store.ts';
import { expectCode, freshId, makeEnvironment, makeService, type StoreSubject } from './subject.ts';

const rowsPaged = 250;
const pageSize = 30;

/** Registers the cases. */
export function listCases(subject: () => StoreSubject): void {
  const store = () => subject().store;
  const idsOf = async (query: Query): Promise<string[]> =>
    (await store().list('environment', query)).rows.map((row) => row.id);

  describe('a list', () => {
    it('holds only rows that meet all conditions', async () => {
      const other = 'another organization';
      const metadata = { projectId: 'app' };
      const one = await makeEnvironment(store(), { metadata: { ...metadata, runnerId: 'east' } });
      const two = await makeEnvironment(store(), { metadata: { runnerId: 'east' } });
      const three = await makeEnvironment(store(), { metadata: { runnerId: 'west' } });
      const foreign = await makeEnvironment(store(), { metadata }, { organizationId: other });
      expect(await idsOf({ organizationId: other })).toEqual([foreign.id]);
      expect(await idsOf({ attributes: { runnerId: ['east'] } })).toEqual([one.id, two.id]);
      expect(await idsOf({ attributes: { runnerId: ['east', 'west'], projectId: [] } })).toEqual([
        one.id,
        two.id,
        three.id,
      ]);
      expect(await idsOf({ attributes: { runnerId: ['east'], projectId: ['app'] } })).toEqual([one.id]);
      expect(await idsOf({ attributes: { runnerId: [''] } })).toEqual([foreign.id]);
      expect(await idsOf({ ids: [three.id, one.id, freshId()] })).toEqual([one.id, three.id]);
      const service = await makeService(store(), two.id);
      await makeService(store(), three.id);
      const services = await store().list('service', { environmentIds: [two.id] });
      expect(services.rows).toEqual([service]);
    });

    it('finds text in id, name, context URL and branch, without regard to case', async () => {
      const contextUrl = 'https://example.test/Team/Guestbook';
      const one = await makeEnvironment(store(), { metadata: { name: '100%_sure' } });
      const two = await makeEnvironment(store(), { metadata: { name: 'x', originalContextUrl: contextUrl } });
      const three = await makeEnvironment(store(), {
        metadata: { name: 'x' },
        status: { content: { git: { branch: 'Feature' } } },
      });
      expect(await idsOf({ search: 'SURE' })).toEqual([one.id]);
      expect(await idsOf({ search: '%_s' })).toEqual([one.id]);
      expect(await idsOf({ search: '0_' })).toEqual([]);
      expect(await idsOf({ search: 'guestbook' })).toEqual([two.id]);
      expect(await idsOf({ search: 'feature' })).toEqual([three.id]);
      expect(await idsOf({ search: two.id.toUpperCase() })).toEqual([two.id]);
      expect(await idsOf({ search: String.raw`\ ' " %` })).toEqual([]);
    });

    it('is in the order of creation, or of an attribute, either way round', async () => {
      const at = (name: string, nowMs: number) =>
        makeEnvironment(store(), { metadata: { name } }, { id: freshId(nowMs) });
      const [old, middle, young] = [await at('b', 1_000), await at('B', 2_000_000), await at('a', 3e12)];
      const [first, second, third] = [old.id, middle.id, young.id];
      expect(await idsOf({})).toEqual([first, second, third]);
      expect(await idsOf({ sort: { by: 'id', order: 'descending' } })).toEqual([third, second, first]);
      expect(await idsOf({ sort: { by: 'name', order: 'ascending' } })).toEqual([second, third, first]);
      expect(await idsOf({ sort: { by: 'name', order: 'descending' } })).toEqual([first, third, second]);
      expect(await idsOf({ createdBeforeMs: 2_000_000 })).toEqual([first]);
      expect(await idsOf({ createdBeforeMs: 2_000_001 })).toEqual([first, second]);
      await expectCode(
        store().list('environment', { sort: { by: "n'", order: 'ascending' } }),
        'invalid_argument',
      );
    });

    it('has 25 rows on a page, at most 100, and counts all that match', async () => {
      for (let count = 0; count < 105; count += 1) await makeEnvironment(store());
      const page = await store().list('environment', { count: true });
      expect(page).toMatchObject({ total: 105 });
      expect(page.rows).toHaveLength(25);
      expect((await store().list('environment', { pageSize: 1000 })).rows).toHaveLength(100);
      expect((await store().list('environment', { pageSize: 3 })).total).toBeUndefined();
    });

    it('ends without a token, also when the last page is full', async () => {
      for (let count = 0; count < 4; count += 1) await makeEnvironment(store());
      const first = await store().list('environment', { pageSize: 2 });
      const last = await store().list('environment', { pageSize: 2, pageToken: first.nextToken });
      expect(last.rows).toHaveLength(2);
      expect(last.nextToken).toBe('');
    });

    it.each(['id', 'name'])('by %s has each row exactly once while others come and go', async (by) => {
      const kept = new Set<string>();
      for (let count = 0; count < rowsPaged; count += 1) {
        const { id } = await makeEnvironment(store(), { metadata: { name: `name ${count % 7}` } });
        kept.add(id);
      }
      const passing: Row<'environment'>[] = [await makeEnvironment(store())];
      const seen = await pagesOf(store(), { pageSize, sort: { by, order: 'ascending' } }, async () => {
        const name = `name ${passing.length % 7}`;
        passing.push(await makeEnvironment(store(), { metadata: { name } }, { id: freshId(passing.length) }));
        passing.push(await makeEnvironment(store(), { metadata: { name } }));
        const [gone] = passing.splice(0, 1);
        await store().delete('environment', gone?.id ?? '');
      });
      const seenKept = seen.filter((id) => kept.has(id));
      expect(seenKept).toHaveLength(rowsPaged);
      expect(new Set(seenKept).size).toBe(rowsPaged);
      expect(new Set(seen).size).toBe(seen.length);
    });

    it.each(['garbage', 'Z2FyYmFnZQ', Buffer.from('[1,2]').toString('base64url'), 'bnVsbA', '"', '['])(
      'refuses the token %s, which it did not make',
      async (pageToken) => {
        await expectCode(store().list('environment', { pageToken }), 'invalid_argument');
      },
    );
  });
}

/** Ids of all pages; `between` is called after each page. */
async function pagesOf(store: Store, query: Query, between: () => Promise<void>): Promise<string[]> {
  const ids: string[] = [];
  for (let pageToken = ''; ;) {
    const page = await store.list('environment', { ...query, pageToken });
    ids.push(...page.rows.map((row) => row.id));
    if (page.nextToken === '') return ids;
    pageToken = page.nextToken;
    await between();
  }
}
