import { execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemClock } from '@atelier/api/system';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from './embedded.ts';
import { openPostgresStore } from './postgres.ts';
import { expectCode, makeEnvironment } from './suite/subject.ts';
import { makeOpenFolder } from './testing/database.ts';

const isRoot = process.getuid?.() === 0;
const cacheFolder = '/var/cache/atelier';
let home: string;
let folder: string;
/** A folder that stays from case to case, for those that only need a server: its files take longer than the rest. */
let kept: string;
const servers = new Set<EmbeddedPostgres>();

const start = async (where = folder): Promise<EmbeddedPostgres> => {
  const server = await startEmbeddedPostgres({ folder: where, clock: systemClock, cacheFolder });
  servers.add(server);
  return server;
};
const isRunning = (pid: number): Promise<boolean> =>
  readFile(`/proc/${pid}/stat`, 'utf8').then(
    (text) => !text.includes(') Z '),
    () => false,
  );
const serversOn = (where: string): string[] =>
  execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes('/bin/postgres -D') && line.includes(join(where, 'data')));

beforeEach(async () => {
  home = await makeOpenFolder();
  folder = join(home, 'postgres');
});
afterEach(async () => {
  for (const server of servers) await server.stop();
  servers.clear();
  await rm(home, { recursive: true, force: true });
});
beforeAll(async () => {
  kept = join(await makeOpenFolder(), 'postgres');
});
afterAll(() => rm(dirname(kept), { recursive: true }));

describe('the embedded server', () => {
  it('is started, keeps what was written over a clean stop, and leaves no process', async () => {
    const first = await start(kept);
    const store = await openPostgresStore({ url: first.url, clock: systemClock });
    const { id } = await makeEnvironment(store);
    await store.close();
    await first.stop();
    expect(await isRunning(first.pid)).toBe(false);
    expect(await readFile(join(kept, 'postgres.log'), 'utf8')).toContain('database system is shut down');
    const second = await start(kept);
    const again = await openPostgresStore({ url: second.url, clock: systemClock });
    expect((await again.get('environment', id))?.id).toBe(id);
    await again.close();
    expect(await readFile(join(kept, 'postgres.log'), 'utf8')).not.toContain('not properly shut down');
  });

  it('is reached by its own user and root alone, through no port', async () => {
    const { url, pid } = await start(kept);
    const socket = new URL(url).searchParams.get('host') ?? '';
    expect((await stat(socket)).mode & 0o777).toBe(0o700);
    const tcp = await readFile('/proc/net/tcp', 'utf8');
    const sockets = execFileSync('sh', ['-c', `ls -l /proc/${pid}/fd | grep -o 'socket:.[0-9]*' || true`], {
      encoding: 'utf8',
    });
    for (const [, number = ''] of sockets.matchAll(/(\d+)$/gm)) expect(tcp).not.toContain(` ${number} `);
  });

  it('that a killed daemon left behind is adopted', async () => {
    const program = join(import.meta.dirname, 'testing', 'start-server.ts');
    const daemon = spawn(process.execPath, [program, kept], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((resolve) =>
      daemon.stdout.once('data', (text: Buffer) => resolve(Number(text))),
    );
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    daemon.kill('SIGKILL');
    await ended;
    expect(await isRunning(pid)).toBe(true);
    expect((await start(kept)).pid).toBe(pid);
  });

  it('that is killed is started again, and what was acknowledged is there', async () => {
    const server = await start(kept);
    const store = await openPostgresStore({ url: server.url, clock: systemClock });
    const { id } = await makeEnvironment(store);
    const killed = server.pid;
    process.kill(killed, 'SIGKILL');
    await expect.poll(() => server.pid, { timeout: 30_000 }).not.toBe(killed);
    expect((await store.get('environment', id))?.id).toBe(id);
    expect(serversOn(kept)).toHaveLength(1);
    await store.close();
  });

  it('is one, however many start it at once', async () => {
    const all = await Promise.all([start(), start(), start()]);
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(1);
    expect(serversOn(folder)).toHaveLength(1);
  });

  it('that is just stopping is waited for and started again', async () => {
    const first = await start(kept);
    const stopping = first.stop();
    const second = await start(kept);
    await stopping;
    expect(second.pid).not.toBe(first.pid);
    expect(await isRunning(second.pid)).toBe(true);
  });

  it.each([
    ['empty', ''],
    ['garbage', 'garbage\0\n'],
    ['another process of ours', `${process.pid}\n/elsewhere\n`],
  ])('starts over a pid file that is %s', async (_what, text) => {
    await (await start(kept)).stop();
    await writeFile(join(kept, 'data', 'postmaster.pid'), text);
    const server = await start(kept);
    expect(await isRunning(server.pid)).toBe(true);
  });

  it('whose pid file was damaged while it ran is stopped and replaced', async () => {
    const first = await start(kept);
    await writeFile(join(kept, 'data', 'postmaster.pid'), 'garbage');
    const second = await start(kept);
    expect(await isRunning(first.pid)).toBe(false);
    expect(await isRunning(second.pid)).toBe(true);
  });

  it('takes what a killed start has left half made away', async () => {
    const left = join(kept, 'data.half-999999999-1');
    await mkdir(left, { recursive: true });
    await start(kept);
    expect(await readdir(kept)).not.toContain('data.half-999999999-1');
  });

  it('begins with the prepared data folder of the cache', async ({ skip }) => {
    await start(kept);
    const templates = (await readdir(cacheFolder).catch(() => [])).filter((name) =>
      /^postgresql-data-[\d.a-z-]+$/.test(name),
    );
    if (templates.length === 0) skip(`${cacheFolder} cannot be written by this user`);
    const made = (path: string) => readFile(join(path, 'global', 'pg_control'));
    const identifier = (control: Buffer) => control.readBigUInt64LE(0);
    const own = identifier(await made(join(kept, 'data')));
    const cached = await Promise.all(
      templates.map(async (name) => identifier(await made(join(cacheFolder, name)))),
    );
    expect(cached).toContain(own);
  });

  it.each([
    ['too long for a socket', `${'long/'.repeat(20)}home`],
    ['full of characters that PostgreSQL takes for its own', 'a, "b" \'c\' $d'],
  ])('runs in a folder whose path is %s', async (_what, name) => {
    const deep = join(home, name);
    const server = await start(deep);
    const store = await openPostgresStore({ url: server.url, clock: systemClock });
    expect(await store.revision()).toBe(0n);
    await store.close();
    await server.stop();
    const socket = new URL(server.url).searchParams.get('host') ?? '';
    if (socket.startsWith(home)) return;
    await expect(stat(socket)).rejects.toThrow('ENOENT');
    // Anybody may plant a link in the temporary folder.
    await symlink(home, socket);
    const { message } = await expectCode(start(deep), 'failed_precondition').finally(() => rm(socket));
    expect(message).toContain("cannot hold PostgreSQL's socket: it is not a folder of ours");
  });
});

describe('a folder that cannot be used is refused with words', () => {
  const refusal = async (where: string): Promise<string> =>
    (await expectCode(start(where), 'failed_precondition')).message.replaceAll(home, '<home>');

  it('because a folder above lets nobody pass', async ({ skip }) => {
    if (!isRoot) skip('only root’s server runs as another user');
    await chmod(home, 0o700);
    expect(await refusal(folder)).toBe(
      '<home>/postgres cannot be used: <home> lets no other user pass, and PostgreSQL does not run as root; choose another ATELIER_HOME, such as /var/lib/atelier',
    );
  });

  it('because it is a file, or below one', async () => {
    await writeFile(folder, '');
    expect(await refusal(folder)).toBe(
      "<home>/postgres cannot hold PostgreSQL's files: <home>/postgres is a file, not a folder; choose another ATELIER_HOME",
    );
    expect(await refusal(join(folder, 'below'))).toBe(
      "<home>/postgres/below cannot hold PostgreSQL's files: <home>/postgres/below is below something that is no folder; choose another ATELIER_HOME",
    );
  });

  it('because its data folder holds something else', async () => {
    await mkdir(join(folder, 'data'), { recursive: true });
    await writeFile(join(folder, 'data', 'thesis.txt'), 'mine');
    expect(await refusal(folder)).toBe(
      '<home>/postgres/data is not empty and holds no PostgreSQL data; move it away or choose another ATELIER_HOME',
    );
    expect(await readFile(join(folder, 'data', 'thesis.txt'), 'utf8')).toBe('mine');
  });

  it('because another version of PostgreSQL wrote it', async () => {
    await mkdir(join(folder, 'data'), { recursive: true });
    await writeFile(join(folder, 'data', 'PG_VERSION'), '9\n');
    expect(await refusal(folder)).toMatch(
      /^<home>\/postgres\/data was written by PostgreSQL 9, this is \d+; start the Atelier that wrote it/,
    );
  });

  it('because its disk is full', async ({ skip }) => {
    if (!isRoot) skip('only root can mount a small file system');
    await mkdir(folder);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'atelier-test', folder], { stdio: 'pipe' });
    } catch {
      skip('no file system can be mounted here');
    }
    try {
      const { message } = await expectCode(start(), 'resource_exhausted');
      expect(message.replaceAll(home, '<home>')).toBe(
        "there is no room left for PostgreSQL's files in <home>/postgres; make room or choose another ATELIER_HOME",
      );
      expect((await readdir(folder)).filter((name) => name.includes('half'))).toEqual([]);
    } finally {
      execFileSync('umount', [folder]);
    }
  });
});
