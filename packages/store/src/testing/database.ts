/** Real PostgreSQL for tests: one server for a test file, a fresh database for each test. */
import { execFile, spawn } from 'node:child_process';
import { chmod, chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AtelierError, sleep } from '@atelier/api';
import { systemClock } from '@atelier/api/system';
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../embedded.ts';
import { openPostgresStore } from '../postgres.ts';
import type { Store } from '../store.ts';
import type { StoreSubject } from '../suite/subject.ts';

/** A server that is there for tests. */
export interface TestServer {
  /** Connection string of its first database. */
  readonly url: string;
  /** Makes an empty database and gives its connection string; `drop` removes it, whoever is connected. */
  createDatabase(): Promise<{ readonly url: string; drop(): Promise<void> }>;
  /** Ends the server and removes its files; stores of {@link makeStoreSubject} are closed by {@link stopTestServer}. */
  stop(): Promise<void>;
}

const run = promisify(execFile);
const cacheFolder = '/var/cache/atelier';
const pollMs = 20;
const pollsMax = 500;

/** A temporary folder that every user can pass through. */
export async function makeOpenFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'atelier-test-'));
  await chmod(folder, 0o755);
  return folder;
}

/** Atelier's own server in a temporary folder. */
export async function startEmbeddedTestServer(): Promise<TestServer> {
  const folder = await makeOpenFolder();
  const server = await startEmbeddedPostgres({
    folder: join(folder, 'postgres'),
    clock: systemClock,
    cacheFolder,
  });
  // A test survives no crash of the machine: it need not wait for the disk.
  await query(server.url, 'alter system set fsync = off');
  await query(server.url, 'select pg_reload_conf()');
  return testServer(server.url, async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });
}

/** Debian's server over TCP, with a password and a collation that is not byte order; undefined when it is not installed. */
export async function startDebianTestServer(): Promise<TestServer | undefined> {
  const versions = (await readdir('/usr/lib/postgresql').catch(() => [])).toSorted(
    (a, b) => Number(a) - Number(b),
  );
  const newest = versions.at(-1);
  if (newest === undefined) return undefined;
  const binaries = join('/usr/lib/postgresql', newest, 'bin');
  const folder = await makeOpenFolder();
  const owner = await unprivilegedUser();
  const data = join(folder, 'data');
  await writeFile(join(folder, 'password'), 'a password', { mode: 0o644 });
  if (owner) await chown(folder, owner.uid, owner.gid);
  const locale = ['--locale-provider=icu', '--icu-locale=en-US', '--encoding=UTF8', '--locale=C.UTF-8'];
  const login = ['-U', 'tester', '--auth=scram-sha-256', `--pwfile=${join(folder, 'password')}`];
  await run(join(binaries, 'initdb'), ['-D', data, '--no-sync', ...login, ...locale], { cwd: '/', ...owner });
  const port = await freePort();
  const settings = [
    'listen_addresses=127.0.0.1',
    `port=${port}`,
    `unix_socket_directories=${folder}`,
    'fsync=off',
    'full_page_writes=off',
  ];
  const flags = settings.flatMap((setting) => ['-c', setting]);
  const child = spawn(join(binaries, 'postgres'), ['-D', data, ...flags], {
    cwd: '/',
    stdio: 'ignore',
    ...owner,
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = `postgresql://tester:a%20password@127.0.0.1:${port}/postgres`;
  await waitUntilReady(url);
  return testServer(url, async () => {
    child.kill('SIGINT');
    await ended;
    await rm(folder, { recursive: true });
  });
}

interface PooledDatabase {
  readonly url: string;
  readonly stores: Store[];
}

const pools = new WeakMap<TestServer, PooledDatabase[]>();

/**
 * A store on an empty database of the server, as the contract suite wants it. Databases and their connections
 * are emptied and used again, because making them takes longer than a case.
 */
export async function makeStoreSubject(server: TestServer): Promise<StoreSubject & { readonly url: string }> {
  const pool = pools.get(server) ?? [];
  pools.set(server, pool);
  const database = pool.pop() ?? { url: (await server.createDatabase()).url, stores: [] };
  const { url, stores } = database;
  let taken = 0;
  const take = async (): Promise<Store> => {
    taken += 1;
    stores[taken - 1] ??= await openPostgresStore({ url, clock: systemClock, connectionsMax: 4 });
    return stores[taken - 1] as Store;
  };
  return {
    url,
    store: await take(),
    reopen: take,
    async close() {
      await query(url, 'truncate resources; update horizon set pruned_revision = 0');
      pool.push(database);
    },
  };
}

/** Closes every store of the server's databases, and ends the server. */
export async function stopTestServer(server: TestServer): Promise<void> {
  for (const { stores } of pools.get(server) ?? []) for (const store of stores) await store.close();
  await server.stop();
}

let databasesMade = 0;

function testServer(url: string, stop: () => Promise<void>): TestServer {
  return {
    url,
    stop,
    async createDatabase() {
      databasesMade += 1;
      const name = `test_${process.pid}_${databasesMade}`;
      await query(url, `create database ${name}`);
      const own = new URL(url);
      own.pathname = `/${name}`;
      return { url: own.href, drop: () => query(url, `drop database ${name} with (force)`) };
    },
  };
}

async function query(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function waitUntilReady(url: string): Promise<void> {
  for (let polls = 0; ; polls += 1) {
    try {
      return await query(url, 'select 1');
    } catch (cause) {
      if (polls === pollsMax)
        throw new AtelierError('unavailable', 'the test server did not come up', { cause });
      await sleep(systemClock, pollMs);
    }
  }
}

/** PostgreSQL refuses root: Debian's own user runs it then. */
async function unprivilegedUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n');
  const [, , uid, gid] = lines.find((line) => line.startsWith('postgres:'))?.split(':') ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === 'object' && address ? address.port : 0;
}
