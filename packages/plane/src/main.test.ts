import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runnerProtocolVersion } from '@atelier/api';
import { systemClock } from '@atelier/api/system';
import { makeOpenFolder, startEmbeddedTestServer, type TestServer } from '@atelier/store/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startPlane, type RunningPlane } from './main.ts';

let server: TestServer;
let home: string;
const running: RunningPlane[] = [];

beforeAll(async () => {
  server = await startEmbeddedTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  home = await makeOpenFolder();
});
afterEach(async () => {
  for (const plane of running.splice(0)) await plane.stop();
  await rm(home, { recursive: true });
});

async function start(options: Partial<Parameters<typeof startPlane>[0]> = {}): Promise<RunningPlane> {
  const databaseUrl = options.databaseUrl ?? (await server.createDatabase()).url;
  const plane = await startPlane({ home, ...options, databaseUrl });
  running.push(plane);
  return plane;
}

async function ask(
  { url, tokenFile }: RunningPlane,
  method: string,
  type = 'application/json',
): Promise<Response> {
  const token = (await readFile(tokenFile, 'utf8')).trim();
  const headers = { 'content-type': type, authorization: `Bearer ${token}` };
  return fetch(`${url}/api/${method}`, { method: 'POST', body: '{"organization":true}', headers });
}

const identity = 'gitpod.v1.IdentityService/GetAuthenticatedIdentity';
const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

describe('a started plane', () => {
  it('says which one it is, on every start of the same database', async () => {
    const databaseUrl = (await server.createDatabase()).url;
    const first = await start({ databaseUrl });
    const told = await (await ask(first, 'atelier.v1.ResourceService/GetPlane')).json();
    expect(told).toMatchObject({
      softwareVersion: expect.stringMatching(/^\d/),
      protocolVersion: runnerProtocolVersion,
    });
    await first.stop();
    const second = await start({ databaseUrl });
    expect(await (await ask(second, 'atelier.v1.ResourceService/GetPlane')).json()).toEqual(told);
  });

  it('keeps its tokens where only their owner can read them, and makes them anew for a new database', async () => {
    const first = await start();
    const tokens = [first.tokenFile, first.runnerTokenFile];
    const texts = () => Promise.all(tokens.map((path) => readFile(path, 'utf8')));
    expect(await Promise.all(tokens.map(mode))).toEqual([0o600, 0o600]);
    const before = await texts();
    await first.stop();
    await writeFile(`${first.tokenFile}.new`, 'left behind', { mode: 0o644 });
    const second = await start();
    const after = await texts();
    expect(after).not.toContain(before[0]);
    expect(after).not.toContain(before[1]);
    expect(await Promise.all(tokens.map(mode))).toEqual([0o600, 0o600]);
    expect((await ask(second, identity)).status).toBe(200);
  });

  it('keeps a token that works, closes what was opened, and takes the place of another one’s', async () => {
    const databaseUrl = (await server.createDatabase()).url;
    const first = await start({ databaseUrl });
    const token = await readFile(first.tokenFile, 'utf8');
    await first.stop();
    await chmod(first.tokenFile, 0o644);
    await writeFile(first.runnerTokenFile, token);
    await start({ databaseUrl });
    expect(await readFile(first.tokenFile, 'utf8')).toBe(token);
    expect(await readFile(first.runnerTokenFile, 'utf8')).not.toBe(token);
    expect(await mode(first.tokenFile)).toBe(0o600);
  });

  it('stops within a second while streams are open, which end as streams do', async () => {
    const plane = await start();
    const streams = await Promise.all(
      ['application/jsonl', 'application/jsonl'].map((type) =>
        ask(plane, 'gitpod.v1.EventService/WatchEvents', type),
      ),
    );
    const begunMs = systemClock.nowMs();
    const texts = streams.map((stream) => stream.text());
    await plane.stop();
    expect(systemClock.nowMs() - begunMs).toBeLessThan(1000);
    for (const text of await Promise.all(texts)) expect(text).toContain('RESOURCE_TYPE_RUNNER');
    await expect(ask(plane, identity)).rejects.toThrow('fetch failed');
    await plane.stop();
  });
});

describe('a plane that cannot start', () => {
  it('says that the port is in use, and leaves nothing running', async () => {
    const databaseUrl = (await server.createDatabase()).url;
    const { port } = new URL((await start()).url);
    const refused = startPlane({ home, databaseUrl, port: Number(port) });
    await expect(refused).rejects.toMatchObject({
      code: 'failed_precondition',
      message: `port ${port} on 127.0.0.1 is in use; choose another port or stop what uses it`,
    });
  });

  it('says that the home is no folder', async () => {
    const file = join(home, 'file');
    await writeFile(file, '');
    await expect(startPlane({ home: join(file, 'below') })).rejects.toMatchObject({
      code: 'failed_precondition',
      message: expect.stringMatching(/^the home .* cannot be made \(ENOTDIR.*choose another ATELIER_HOME$/),
    });
  });

  it('says that the database does not answer', async () => {
    await mkdir(join(home, 'deep'));
    const databaseUrl = 'postgresql://somebody:secret@127.0.0.1:1/none';
    await expect(startPlane({ home: join(home, 'deep'), databaseUrl })).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});
