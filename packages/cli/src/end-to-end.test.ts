import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processIdentity } from './daemon/processes.ts';
import type { DaemonRecord } from './daemon/record.ts';

/** The command line as a user has it, on a real plane with its database and a real runner with the simulated driver. */
const main = join(import.meta.dirname, 'main.ts');
let folder: string;
let home: string;

beforeAll(async () => {
  // The database's own user has to be able to pass.
  folder = mkdtempSync(join(tmpdir(), 'atelier-cli-'));
  chmodSync(folder, 0o755);
  home = join(folder, 'home');
  for (const name of ['guestbook', 'website']) mkdirSync(join(folder, name, '.git'), { recursive: true });
  const [one, other] = await Promise.all([
    atelier('daemon', 'start', '--driver', 'simulated', '-o', 'json'),
    atelier('daemon', 'start', '--driver', 'simulated', '-o', 'json'),
  ]);
  expect([one.code, other.code]).toEqual([0, 0]);
  expect(JSON.parse(one.stdout).pid).toBe(JSON.parse(other.stdout).pid);
}, 180_000);

afterAll(async () => {
  await atelier('daemon', 'stop');
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function begin(arguments_: string[], workingFolder = folder) {
  const child = spawn(process.execPath, [main, ...arguments_], {
    cwd: workingFolder,
    env: { ...process.env, ATELIER_HOME: home },
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (said.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (said.stderr += data.toString()));
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, ...said }));
  return { child, said, ended };
}

function atelier(...arguments_: string[]): Promise<Ended> {
  const { child, ended } = begin(arguments_);
  child.stdin.end();
  return ended;
}

async function ids(): Promise<string[]> {
  const { stdout } = await atelier('ls', '-o', 'json');
  return (JSON.parse(stdout) as { id: string }[]).map(({ id }) => id);
}

function record(): DaemonRecord {
  return JSON.parse(readFileSync(join(home, 'daemon.json'), 'utf8')) as DaemonRecord;
}

describe('atelier', { timeout: 120_000 }, () => {
  it('makes one environment of two commands on one folder, and returns to it', async () => {
    const both = await Promise.all([atelier('up', 'guestbook'), atelier('up', 'guestbook')]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(await ids()).toHaveLength(1);
    const again = await atelier('up', join(folder, 'guestbook'), '-o', 'json');
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(again.stdout)).toMatchObject({ metadata: { name: 'guestbook' } });
    expect(await ids()).toHaveLength(1);
  });

  it('passes output and exit code of a command through, and keeps 255 for itself', async () => {
    expect(await atelier('exec', 'guestbook', '--', 'echo', 'a', '-b')).toMatchObject({
      code: 0,
      stdout: 'a -b\n',
      stderr: '',
    });
    expect((await atelier('exec', 'guest', 'false')).code).toBe(1);
    expect(await atelier('exec', 'nothing', 'true')).toMatchObject({ code: 255, stdout: '' });
    expect((await atelier('exec')).code).toBe(255);
  });

  it('says why with words and codes', async () => {
    expect(await atelier('status', 'guestbok')).toMatchObject({
      code: 5,
      stderr: 'atelier: there is no environment "guestbok"; did you mean guestbook?\n',
    });
    expect((await atelier('up', 'nowhere')).stderr).toContain(
      'nowhere does not exist; give a folder or the URL',
    );
    expect((await atelier('up', '--class', 'huge', 'website')).stderr).toContain(
      'there is no environment class "huge"',
    );
    expect((await atelier('logs', 'guestbook', 'web')).stderr).toContain('nothing here is called "web"');
    expect((await atelier('nonsense')).code).toBe(2);
    expect((await atelier('forward', 'guestbook', 'web')).code).toBe(2);
  });

  it('stops, starts, deletes, and makes anew', async () => {
    const [before] = await ids();
    expect((await atelier('stop', 'guestbook')).code).toBe(0);
    expect((await atelier('ls')).stdout).toMatch(/guestbook +stopped/);
    expect((await atelier('exec', 'guestbook', 'true')).stderr).toContain(
      'is STOPPED; start it with "atelier start guestbook"',
    );
    expect((await atelier('up', 'guestbook')).code).toBe(0);
    expect(await ids()).toEqual([before]);
    expect((await atelier('delete', 'guestbook')).code).toBe(0);
    expect(await ids()).toEqual([]);
    expect((await atelier('up', 'guestbook')).code).toBe(0);
    const after = await ids();
    expect(after).toHaveLength(1);
    expect(after).not.toEqual([before]);
  });

  it('goes on with the environment when up is interrupted', async () => {
    const up = begin(['up', 'website']);
    await expect.poll(() => up.said.stderr, { timeout: 60_000 }).toContain('environment website of');
    up.child.kill('SIGINT');
    const { code, stderr } = await up.ended;
    // It may have been ready already; then there was nothing to interrupt.
    expect([0, 130]).toContain(code);
    if (code === 130) expect(stderr).toContain('atelier delete website');
    expect((await atelier('up', 'website')).code).toBe(0);
    expect((await atelier('delete', 'website')).code).toBe(0);
  });

  it('starts the daemon when it was killed, on the port it had', async () => {
    const before = record();
    process.kill(before.pid, 'SIGKILL');
    await expect.poll(async () => (await atelier('daemon', 'status')).code, { timeout: 30_000 }).toBe(11);
    const { code, stderr } = await atelier('ls');
    expect(code).toBe(0);
    expect(stderr).toContain('the daemon is not running: starting it');
    expect(record()).toMatchObject({
      url: before.url,
      gatewayUrl: before.gatewayUrl,
      options: { driverName: 'simulated' },
    });
    expect(record().pid).not.toBe(before.pid);
  });

  it('restarts a daemon that is older than itself', async () => {
    const before = record();
    writeFileSync(join(home, 'daemon.json'), JSON.stringify({ ...before, version: '0.0.1' }));
    const { code, stderr } = await atelier('ls');
    expect(code).toBe(0);
    expect(stderr).toContain(
      'the daemon is of version 0.0.1, this is 0.2.0: restarting it, environments go on',
    );
    expect(record().pid).not.toBe(before.pid);
    expect((await atelier('version', '-o', 'json')).stdout).toContain('"daemonVersion": "0.2.0"');
  });

  it('refuses a second daemon process on the home with words', async () => {
    const { pid, options } = record();
    expect(await atelier('daemon', 'serve', home, JSON.stringify(options))).toMatchObject({
      code: 6,
      stderr: expect.stringContaining(`process ${pid} is the plane of ${home} already`),
    });
    expect(record().pid).toBe(pid);
  });

  it('starts a daemon in place of one that dies before it ever answered', async () => {
    const stops = await Promise.all([atelier('daemon', 'stop'), atelier('daemon', 'stop')]);
    expect(stops.map(({ code }) => code)).toEqual([0, 0]);
    const dying = spawn('sleep', ['1000']);
    const identity = processIdentity(dying.pid ?? 0);
    writeFileSync(join(home, 'locks', 'plane.1000'), JSON.stringify(identity));
    const start = begin(['daemon', 'start']);
    const log = join(home, 'daemon.log');
    const refusal = `process ${dying.pid} is the plane of`;
    await expect.poll(() => readFileSync(log, 'utf8'), { timeout: 30_000 }).toContain(refusal);
    dying.kill('SIGKILL');
    expect(await start.ended).toMatchObject({ code: 0 });
    expect(record().options.driverName).toBe('simulated');
  });

  it('leaves a daemon that starts when up is interrupted, and says so', async () => {
    await atelier('daemon', 'stop');
    const up = begin(['up', 'website']);
    await expect.poll(() => up.said.stderr, { timeout: 60_000 }).toContain('starting it');
    up.child.kill('SIGINT');
    const { code, stderr } = await up.ended;
    expect(code).toBe(130);
    expect(stderr).toContain('the daemon goes on starting without you\n  atelier daemon status\n');
    expect((await atelier('up', 'website')).code).toBe(0);
  });
});
