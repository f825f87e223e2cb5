/** Cases of create, get, update and delete. */
import { AtelierError } from '@atelier/api';
import { EnvironmentSchema } from '@atelier/api/gitpod/environment';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  counted,
  expectCode,
  freshId,
  makeEnvironment,
  makeService,
  newEnvironment,
  organizationId,
  renamed,
  type StoreSubject,
} from './subject.ts';

const parallel = 10;
const otherOrganizationId = '01900000-0000-7000-8000-00000000000b';

/** Registers the cases. */
export function writeCases(subject: () => StoreSubject): void {
  const store = () => subject().store;

  describe('create', () => {
    it('gives the row that every reader sees afterwards, also on another replica', async () => {
      const made = await makeEnvironment(store(), { metadata: { name: 'one' } });
      expect(made).toMatchObject({ kind: 'environment', organizationId, environmentId: '' });
      expect(made.createdRevision).toBe(made.revision);
      expect(made.contentRevision).toBe(made.revision);
      expect(await store().get('environment', made.id)).toEqual(made);
      const replica = (await subject().reopen?.()) ?? store();
      expect(await replica.get('environment', made.id)).toEqual(made);
    });

    it('refuses an id that is there', async () => {
      const { id } = await makeEnvironment(store());
      await expectCode(makeEnvironment(store(), {}, { id }), 'already_exists');
      await store().delete('environment', id);
      await expectCode(makeEnvironment(store(), {}, { id }), 'already_exists');
    });

    it('keeps one id apart for each kind', async () => {
      const id = freshId();
      await makeEnvironment(store(), {}, { id });
      await store().create('user', { id, organizationId, value: { id, name: 'somebody' } });
      expect((await store().get('user', id))?.value.name).toBe('somebody');
    });

    it('gives all callers with the same idempotency key the first one’s row', async () => {
      const rows = await Promise.all(
        Array.from({ length: parallel }, (_, index) =>
          makeEnvironment(store(), { metadata: { name: `name ${index}` } }, { idempotencyKey: 'once' }),
        ),
      );
      expect(new Set(rows.map((row) => row.id)).size).toBe(1);
      expect(new Set(rows.map((row) => row.value.metadata?.name)).size).toBe(1);
      expect((await store().list('environment', { count: true })).total).toBe(1);
      const changed = await store().update('environment', rows[0]?.id ?? '', renamed('later'));
      expect(await makeEnvironment(store(), {}, { idempotencyKey: 'once' })).toEqual(changed);
    });

    it('keeps idempotency keys apart for each organization and each kind', async () => {
      const idempotencyKey = 'once';
      const first = await makeEnvironment(store(), {}, { idempotencyKey });
      const second = await makeEnvironment(
        store(),
        {},
        { idempotencyKey, organizationId: otherOrganizationId },
      );
      const id = freshId();
      const user = await store().create('user', {
        id,
        organizationId,
        idempotencyKey,
        value: { id, name: '' },
      });
      expect(new Set([first.id, second.id, user.id]).size).toBe(3);
    });

    it('does not bring back what was made with a key and deleted', async () => {
      const { id } = await makeEnvironment(store(), {}, { idempotencyKey: 'once' });
      await store().delete('environment', id);
      const again = makeEnvironment(store(), {}, { idempotencyKey: 'once' });
      const { message } = await expectCode(again, 'failed_precondition');
      expect(message).toContain(id);
    });
  });

  describe('a name', () => {
    const name = { owner: 'somebody', text: 'guestbook' };

    it('is one owner’s for one row, whoever comes first', async () => {
      const tries = await Promise.allSettled(
        Array.from({ length: parallel }, () => makeEnvironment(store(), {}, { name })),
      );
      const refused = tries.flatMap((each) => (each.status === 'rejected' ? [each.reason.code] : []));
      expect(refused).toEqual(Array.from({ length: parallel - 1 }, () => 'already_exists'));
    });

    it('may be another owner’s, organization’s or kind’s too', async () => {
      await makeEnvironment(store(), {}, { name });
      await makeEnvironment(store(), {}, { name: { ...name, owner: 'somebody else' } });
      await makeEnvironment(store(), {}, { name, organizationId: otherOrganizationId });
      const id = freshId();
      await store().create('user', { id, organizationId, name, value: { id, name: '' } });
    });

    it('is free again after deletion and after another name was given', async () => {
      const first = await makeEnvironment(store(), {}, { name });
      await store().delete('environment', first.id);
      const second = await makeEnvironment(store(), {}, { name });
      await store().update('environment', second.id, counted, { name: { ...name, text: 'moved' } });
      const third = await makeEnvironment(store(), {}, { name });
      await expectCode(store().update('environment', second.id, counted, { name }), 'already_exists');
      // A name that the row has itself is not taken by another one.
      await store().update('environment', third.id, counted, { name });
    });
  });

  describe('update', () => {
    it('gives the changed row a newer revision and leaves its creation alone', async () => {
      const made = await makeEnvironment(store());
      const changed = await store().update('environment', made.id, renamed('two'));
      expect(changed.revision).toBeGreaterThan(made.revision);
      expect(changed.contentRevision).toBe(changed.revision);
      expect(changed.createdRevision).toBe(made.revision);
      expect(await store().get('environment', made.id)).toEqual(changed);
    });

    it('remembers when something but the status changed', async () => {
      const made = await makeEnvironment(store());
      const status = await store().update('environment', made.id, counted, { statusOnly: true });
      expect(status.contentRevision).toBe(made.revision);
      const content = await store().update('environment', made.id, counted);
      expect(content.contentRevision).toBe(content.revision);
    });

    it('changes nothing when the change gives nothing', async () => {
      const made = await makeEnvironment(store());
      const same = await store().update('environment', made.id, (environment) => {
        environment.metadata = create(EnvironmentSchema, { metadata: { name: 'lost' } }).metadata as never;
        return undefined;
      });
      expect(same).toEqual(made);
      expect(await store().get('environment', made.id)).toEqual(made);
      expect(await store().revision()).toBe(made.revision);
    });

    it('writes nothing when the change throws', async () => {
      const made = await makeEnvironment(store());
      const failing = store().update('environment', made.id, (environment) =>
        (environment as never as () => never)(),
      );
      await expectCode(failing, 'internal');
      expect(await store().get('environment', made.id)).toEqual(made);
    });

    it('lets an error of ours through as it is', async () => {
      const made = await makeEnvironment(store());
      const refused = store().update('environment', made.id, () => {
        throw new AtelierError('failed_precondition', 'not now');
      });
      expect((await expectCode(refused, 'failed_precondition')).message).toBe('not now');
    });

    it('refuses a row that is not there', async () => {
      await expectCode(store().update('environment', freshId(), counted), 'not_found');
      const { id } = await makeEnvironment(store());
      await store().delete('environment', id);
      await expectCode(store().update('environment', id, counted), 'not_found');
    });

    it('refuses a row that has another revision than expected', async () => {
      const made = await makeEnvironment(store());
      const changed = await store().update('environment', made.id, counted, {
        expectedRevision: made.revision,
      });
      const late = store().update('environment', made.id, counted, { expectedRevision: made.revision });
      await expectCode(late, 'aborted');
      expect(await store().get('environment', made.id)).toEqual(changed);
    });

    it('never loses one of many updates at once, from all replicas', async () => {
      const { id } = await makeEnvironment(store());
      const replica = (await subject().reopen?.()) ?? store();
      const updates = Array.from({ length: 2 * parallel }, (_, index) =>
        (index % 2 === 0 ? store() : replica).update('environment', id, counted),
      );
      const revisions = (await Promise.all(updates)).map((row) => row.revision);
      expect(new Set(revisions).size).toBe(2 * parallel);
      expect((await store().get('environment', id))?.value.spec?.specVersion).toBe(BigInt(2 * parallel));
    });
  });

  describe('text with a zero character', () => {
    it('is refused wherever it comes', async () => {
      const { id } = await makeEnvironment(store());
      await expectCode(
        store().create('environment', newEnvironment({ metadata: { name: 'a\0b' } })),
        'invalid_argument',
      );
      await expectCode(store().update('environment', id, renamed('\0')), 'invalid_argument');
      await expectCode(store().list('environment', { search: '\0' }), 'invalid_argument');
      await expectCode(store().get('environment', '\0'), 'invalid_argument');
    });
  });

  describe('delete', () => {
    it('says whether there was anything', async () => {
      const { id } = await makeEnvironment(store());
      expect(await store().delete('environment', id)).toBe(true);
      expect(await store().delete('environment', id)).toBe(false);
      expect(await store().delete('environment', freshId())).toBe(false);
      expect(await store().get('environment', id)).toBeUndefined();
      expect((await store().list('environment', {})).rows).toEqual([]);
    });

    it('takes with an environment what belongs to it and nothing else', async () => {
      const doomed = await makeEnvironment(store());
      const other = await makeEnvironment(store());
      const gone = [await makeService(store(), doomed.id), await makeService(store(), doomed.id)];
      const kept = await makeService(store(), other.id);
      const before = await store().revision();
      await store().delete('environment', doomed.id);
      for (const { id } of gone) expect(await store().get('service', id)).toBeUndefined();
      expect(await store().get('service', kept.id)).toEqual(kept);
      const { changes } = await store().changesSince(before, {});
      const ids = changes.map((change) => (change.type === 'deleted' ? change.id : change.row.id));
      // The environment goes last: whoever sees it go has seen everything of it go.
      expect(ids.at(-1)).toBe(doomed.id);
      expect(new Set(ids)).toEqual(new Set([doomed.id, ...gone.map(({ id }) => id)]));
    });

    it('leaves an environment alone when something of it goes', async () => {
      const environment = await makeEnvironment(store());
      const service = await makeService(store(), environment.id);
      await store().delete('service', service.id);
      expect(await store().get('environment', environment.id)).toEqual(environment);
    });
  });
}
