import { systemClock } from '@atelier/api/system';
import { type Clock } from '@atelier/api';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openPostgresStore } from './postgres.ts';
import { storeSuite } from './suite.ts';
import { expectCode, makeEnvironment } from './suite/subject.ts';
import {
  makeStoreSubject,
  startDebianTestServer,
  startEmbeddedTestServer,
  stopTestServer,
  type TestServer,
} from './testing/database.ts';

const embedded = await startEmbeddedTestServer();
const debian = await startDebianTestServer();

afterAll(async () => {
  await stopTestServer(embedded);
  if (debian) await stopTestServer(debian);
});

storeSuite('on the embedded PostgreSQL', () => makeStoreSubject(embedded));

if (debian) storeSuite('on an external PostgreSQL', () => makeStoreSubject(debian));
else {
  it('runs the suite on an external PostgreSQL', ({ skip }) =>
    skip('Debian’s package postgresql is not installed'));
}

async function queried(url: string, statement: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(statement);
  await client.end();
  return rows;
}

describe('opening the store', () => {
  let server: TestServer;
  let database: Awaited<ReturnType<TestServer['createDatabase']>>;
  beforeAll(async () => {
    server = embedded;
    database = await server.createDatabase();
  });
  afterAll(() => database.drop());

  it('makes the schema once, also when replicas start at once, and finds it again', async () => {
    const open = () => openPostgresStore({ url: database.url, clock: systemClock });
    const stores = await Promise.all([open(), open(), open()]);
    const { id } = await makeEnvironment(stores[0] as never);
    for (const store of stores) {
      expect((await store.get('environment', id))?.id).toBe(id);
      await store.close();
    }
    expect(await queried(database.url, 'select name from kysely_migration')).toEqual([
      { name: '2026-11-22-resources' },
    ]);
  });

  it('refuses a database of a newer version with words', async () => {
    await queried(database.url, "insert into kysely_migration values ('2099-01-01-future', '2099-01-01')");
    const opening = openPostgresStore({ url: database.url, clock: systemClock });
    const { message } = await expectCode(opening, 'failed_precondition');
    expect(message).toContain('another version of Atelier');
  });

  it('says that there is no server, and does not give the password away', async () => {
    const opening = openPostgresStore({
      url: 'postgresql://somebody:secret@127.0.0.1:1/none',
      clock: systemClock,
    });
    const { message } = await expectCode(opening, 'unavailable');
    expect(message).toContain('ECONNREFUSED');
    expect(message).not.toContain('secret');
  });
});

describe('a lost connection', () => {
  it('of the subscription is dialled again, once at a time, with a wake-up after', async () => {
    const { url, drop } = await embedded.createDatabase();
    const redials: (() => void)[] = [];
    const clock: Clock = {
      nowMs: () => 0,
      timer(_afterMs, fire) {
        redials.push(fire);
        return { cancel: () => undefined };
      },
    };
    const store = await openPostgresStore({ url, clock });
    const wake = vi.fn();
    const subscription = await store.subscribe(wake);
    const name = new URL(url).pathname.slice(1);
    await queried(embedded.url, `alter database ${name} allow_connections false`);
    await queried(
      embedded.url,
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`,
    );
    await vi.waitFor(() => expect(redials).toHaveLength(1));
    for (let failed = 1; failed <= 3; failed += 1) {
      redials[failed - 1]?.();
      await vi.waitFor(() => expect(redials).toHaveLength(failed + 1));
    }
    await queried(embedded.url, `alter database ${name} allow_connections true`);
    expect(wake).not.toHaveBeenCalled();
    redials[3]?.();
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(1));
    await makeEnvironment(store);
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(2));
    await subscription.close();
    expect(redials).toHaveLength(4);
    await store.close();
    await drop();
  });

  it('of a call is replaced: the next call has a new one', async () => {
    const subject = await makeStoreSubject(embedded);
    const { id } = await makeEnvironment(subject.store);
    const name = new URL(subject.url).pathname.slice(1);
    await queried(
      embedded.url,
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`,
    );
    await vi.waitFor(async () => expect((await subject.store.get('environment', id))?.id).toBe(id));
    await subject.close();
  });
});
