import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { busyboxName, missingForImages, openPlace, type Place } from './fixture.ts';

const program = '/usr/bin/docker-registry';
const reason = missingForImages() ?? (existsSync(program) ? undefined : `needs ${program}`);
if (reason !== undefined) console.warn(`pulls are not tested: ${reason}`);

/** `user` with the password `secret`. */
const passwords = 'user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n';
const credentials = Buffer.from('user:secret').toString('base64');

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.skipIf(reason !== undefined)('an image in a registry', () => {
  const folder = mkdtempSync(join(tmpdir(), 'atelier-registry-'));
  const children: ChildProcess[] = [];
  const authFile = join(folder, 'auth.json');
  let open = '';
  let closed = '';
  let giver: Place;
  let taker: Place;

  const startRegistry = async (name: string, more: string): Promise<string> => {
    const port = await freePort();
    const file = join(folder, `${name}.yml`);
    const storage = `storage:\n  filesystem:\n    rootdirectory: ${join(folder, name)}\n`;
    writeFileSync(
      file,
      `version: 0.1\nlog:\n  level: error\n${storage}http:\n  addr: 127.0.0.1:${port}\n${more}`,
    );
    children.push(spawn(program, ['serve', file], { stdio: 'ignore' }));
    await vi.waitFor(() => fetch(`http://127.0.0.1:${port}/v2/`), { timeout: 20_000 });
    return `127.0.0.1:${port}`;
  };

  beforeAll(async () => {
    const passwordFile = join(folder, 'htpasswd');
    writeFileSync(passwordFile, passwords);
    open = await startRegistry('open', '');
    closed = await startRegistry(
      'closed',
      `auth:\n  htpasswd:\n    realm: test\n    path: ${passwordFile}\n`,
    );
    writeFileSync(authFile, JSON.stringify({ auths: { [closed]: { auth: credentials } } }));
    [giver, taker] = await Promise.all([
      openPlace(),
      openPlace({ REGISTRY_AUTH_FILE: join(folder, 'none.json') }),
    ]);
    const push = ['push', '--tls-verify=false', '--authfile', authFile, busyboxName];
    for (const registry of [open, closed]) await giver.buildah(...push, `docker://${registry}/team/tool:1`);
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all([giver?.close(), taker?.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  const pull = (place: Place, reference: string): Promise<{ digest: string }> =>
    place.ensure({ kind: 'reference', reference });

  it('is pulled once, has the digest that it has elsewhere, and is then found without the registry', async () => {
    const there = await pull(giver, busyboxName);
    const reference = `${open}/team/tool:1`;
    const [first, second] = await Promise.all([pull(taker, reference), pull(taker, reference)]);
    expect(second).toEqual(first);
    expect(first.digest).toBe(there.digest);
    // One pull, told to both.
    expect(taker.told.filter((line) => line.includes('Copying config'))).toHaveLength(2);
    expect(await pull(taker, reference)).toEqual(first);
    expect(taker.told).toEqual([]);
    expect(await taker.leftovers()).toEqual([]);
  });

  it('that is not there is not found, whether the name or the tag is wrong', async () => {
    for (const reference of [`${open}/team/absent:1`, `${open}/team/tool:absent`]) {
      const failed = expect(pull(taker, reference)).rejects;
      await failed.toMatchObject({ code: 'not_found', message: expect.stringContaining(reference) });
    }
  });

  it('may need credentials, which are the ones that the user has stored', async () => {
    const reference = `${closed}/team/tool:1`;
    await expect(pull(taker, reference)).rejects.toMatchObject({
      code: 'permission_denied',
      message: expect.stringContaining('log in'),
    });
    const known = await openPlace({ REGISTRY_AUTH_FILE: authFile });
    try {
      expect((await pull(known, reference)).digest).toMatch(/^sha256:/);
    } finally {
      await known.close();
    }
  });

  it('is unavailable when the registry is', async () => {
    const reference = `127.0.0.1:${await freePort()}/team/tool:1`;
    await expect(pull(taker, reference)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('is no longer pulled when nobody waits for it, also by a registry that never answers', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const controller = new AbortController();
    const { port } = server.address() as AddressInfo;
    const reference = `127.0.0.1:${port}/team/tool:1`;
    try {
      const pulled = taker.ensure({ kind: 'reference', reference }, controller.signal);
      await Promise.all([
        expect(pulled).rejects.toMatchObject({ code: 'canceled' }),
        expect
          .poll(() => sockets.length, { timeout: 20_000 })
          .toBeGreaterThan(0)
          .then(() => controller.abort()),
      ]);
      expect(await taker.leftovers()).toEqual([]);
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
