import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { generationFolder, workspaceFolder } from '../disks/folders.ts';
import { findNamespaces } from '../host/namespaces.ts';
import { describePlace } from '../test-place.ts';
import { detectVersion } from './cgroup.ts';
import { socketFolder } from './listen.ts';

describePlace('an instance', (place) => {
  const inside = (name: string, command: string): Promise<string> => place.subject().inside(name, command);

  it('is root in its own range, with 0-based ids on disk', async () => {
    const id = await place.environment();
    const { name, process } = await place.start(id);
    expect(
      await inside(
        name,
        'touch /made /workspaces/test/made; chown 1000:1000 /made; id -u; stat -c %u:%g /made',
      ),
    ).toBe('0\n1000:1000\nexit 0');
    const upper = join(generationFolder(place.subject().home, id, 1), 'upper');
    expect(lstatSync(join(upper, 'made'))).toMatchObject({ uid: 1000, gid: 1000 });
    expect(lstatSync(join(workspaceFolder(place.subject().home, id), 'made')).uid).toBe(0);
    const base = findNamespaces(place.subject().home, id)?.base;
    expect(statSync(`/proc/${process?.pid}`).uid).toBe(base);
    expect(base).toBeGreaterThan(100_000);
  });

  it('sees its files of /etc, its name, its variables and the supervisor', async () => {
    const id = await place.environment();
    writeFileSync(join(place.subject().home.folder, 'supervisor/main'), 'supervisor\n');
    const { name } = await place.start(id);
    expect(
      await inside(
        name,
        'hostname; grep -c test-host /etc/hosts; cat /opt/atelier/main; stat -c %u /opt/atelier/main',
      ),
    ).toBe('test-host\n1\nsupervisor\n0\nexit 0');
    const variables = await inside(name, 'tr "\\0" "\\n" </proc/1/environ');
    expect(variables).toContain('GREETING=hello world');
    expect(variables).toContain('ATELIER_SOCKET=/run/atelier-link/supervisor.sock');
    expect(await inside(name, 'touch /opt/atelier/x /run/atelier-link/x')).toMatch(/Read-only file system/);
  });

  it('cannot mount, make devices, load modules or see the host', async () => {
    const id = await place.environment();
    const { name } = await place.start(id);
    expect(await inside(name, 'mount -t tmpfs none /tmp')).toMatch(/exit [1-9]/);
    expect(await inside(name, 'mknod /tmp/disk b 254 0')).toMatch(/not permitted/);
    expect(await inside(name, 'echo c >/proc/sysrq-trigger')).toMatch(/exit [1-9]/);
    expect(await inside(name, 'echo x >/proc/sys/kernel/hostname')).toMatch(/Read-only/);
    expect(await inside(name, 'ps | grep -c "[/]bin/busybox sh"')).toMatch(/^[12]\n/);
    expect(await inside(name, 'grep Seccomp: /proc/1/status | tr -d "\\t "')).toBe('Seccomp:2\nexit 0');
    expect(await inside(name, 'cat /proc/1/mountinfo | grep -c /run/atelier/roots')).toBe('0\nexit 1');
  });

  it('leaves the devices of the host to the host', async () => {
    const owners = (): number[] =>
      ['null', 'zero', 'full', 'random', 'urandom', 'tty'].map((device) => lstatSync(`/dev/${device}`).uid);
    const before = owners();
    const { name } = await place.start(await place.environment());
    expect(await inside(name, 'echo x >/dev/null')).toBe('exit 0');
    expect(await inside(name, 'chown 1:1 /dev/zero')).toMatch(/not permitted/);
    expect(owners()).toEqual(before);
  });

  it('follows no link that was planted on its disk out of it', async () => {
    const id = await place.environment();
    const upper = join(generationFolder(place.subject().home, id, 1), 'upper');
    symlinkSync('/../../../../../../etc', join(upper, 'linked'));
    symlinkSync('/nowhere/file', join(upper, 'dangling'));
    mkdirSync(join(upper, 'opt'));
    symlinkSync('/etc/taken', join(upper, 'opt/atelier'));
    const mounts = [{ kind: 'workspace', target: '/linked/below/here' }] as const;
    const { name } = await place.start(id, { mounts });
    expect(await inside(name, 'touch /etc/below/here/file')).toBe('exit 0');
    expect(existsSync('/etc/below')).toBe(false);
    expect(existsSync(join(workspaceFolder(place.subject().home, id), 'file'))).toBe(true);
  });

  it('shows a folder of the host read-only, as if it were its own', async () => {
    const id = await place.environment();
    const source = join(place.subject().home.folder, 'given');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), 'given', { mode: 0o600 });
    chownSync(join(source, 'file'), 1000, 1000);
    writeFileSync(join(source, 'program'), '#!/bin/sh\n');
    chmodSync(join(source, 'program'), 0o4755);
    const { name } = await place.start(id, {
      mounts: [{ kind: 'host-read-only', source, target: '/given/deep' }],
    });
    expect(await inside(name, 'stat -c %u /given/deep/file; cat /given/deep/file')).toBe('1000\ngivenexit 0');
    expect(await inside(name, 'echo x >/given/deep/file')).toMatch(/Read-only/);
    expect(await inside(name, 'grep /given/deep /proc/1/mountinfo')).toMatch(/ro,nosuid,nodev/);
  });

  it('has its limits, read back from the kernel', async () => {
    const id = await place.environment();
    const { name } = await place.start(id, {
      limits: { cpuWeight: 200, memoryBytesMax: 128 << 20, processesMax: 20 },
    });
    const version = detectVersion();
    const shown = version
      .limitFiles({ cpuWeight: 200, memoryBytesMax: 128 << 20, processesMax: 20 })
      .map((limit) => {
        const path = join(limit.hierarchy, `atelier-${place.subject().home.short}`, name, limit.file);
        return existsSync(path) ? readFileSync(path, 'utf8').trim() === limit.value : limit.optional;
      });
    expect(shown.length).toBeGreaterThanOrEqual(3);
    expect(shown).not.toContain(false);
  });

  it('cannot make more processes than it may', async () => {
    const id = await place.environment();
    const { name } = await place.start(id, {
      limits: { cpuWeight: 100, memoryBytesMax: 256 << 20, processesMax: 12 },
    });
    const many = 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 100 & done; echo made';
    expect(await inside(name, `sh -c '${many}'`)).toMatch(/can't fork/);
    expect((await place.subject().driver.instances.usage(name))?.processes).toBeLessThanOrEqual(12);
  });

  it('kills what eats more memory than it may, and says so when it ended by it', async () => {
    const { driver } = place.subject();
    const id = await place.environment();
    const { name } = await place.start(id, {
      limits: { cpuWeight: 100, memoryBytesMax: 32 << 20, processesMax: 50 },
    });
    expect(await inside(name, 'tail /dev/zero')).toMatch(/exit 137/);
    expect((await driver.instances.inspect(name))?.state).toBe('running');
    await place.subject().kill(name);
    expect(await driver.instances.inspect(name)).toMatchObject({ state: 'ended', end: 'out-of-memory' });
  });

  it('ends gently when it listens, and is killed when it does not', async () => {
    const { driver } = place.subject();
    const gentle = await place.start(await place.environment());
    expect(await inside(gentle.name, 'true')).toBe('exit 0');
    await driver.instances.stop(gentle.name, 10_000);
    expect((await driver.instances.inspect(gentle.name))?.end).toBe('exited');
    const deaf = await place.start(await place.environment());
    expect(await inside(deaf.name, 'kill -STOP 1; kill -STOP $PPID; true')).toBe('exit 0');
    process.kill(deaf.process?.pid ?? 0, 'SIGSTOP');
    await driver.instances.stop(deaf.name, 50);
    expect((await driver.instances.inspect(deaf.name))?.end).toBe('killed');
  });

  it('keeps what is on its disk over stop and start, and a throw-away one does not', async () => {
    const { driver, imageDigest } = place.subject();
    const id = await place.environment();
    const { name } = await place.start(id);
    expect(await inside(name, 'echo kept >/kept; rm /image')).toBe('exit 0');
    await driver.instances.stop(name, 5000);
    await place.start(id);
    expect(await inside(name, 'cat /kept; ls /image')).toMatch(/^kept\nls: \/image: No such file/);
    const thrown = {
      name: `${id}-content-1`,
      root: { kind: 'image', digest: imageDigest },
    } as const;
    await place.start(id, thrown);
    expect(await inside(thrown.name, 'ls /kept; touch /lost')).toMatch(/No such file/);
    await driver.instances.remove(thrown.name);
    await place.start(id, thrown);
    expect(await inside(thrown.name, 'ls /lost')).toMatch(/No such file/);
  });

  it('hears a dial from its own root, and from no other user inside', async () => {
    const { driver, home } = place.subject();
    const id = await place.environment();
    const name = `${id}-main-1`;
    const links: unknown[] = [];
    const listening = await driver.instances.listen(name, (link) => void links.push(link));
    await place.start(id);
    const base = findNamespaces(home, id)?.base;
    expect(await inside(name, 'stat -c %u:%a /run/atelier-link/supervisor.sock')).toBe('0:600\nexit 0');
    expect(lstatSync(join(socketFolder(home, name), 'supervisor.sock')).uid).toBe(base);
    await listening.close();
    expect(await inside(name, 'ls /run/atelier-link')).toBe('exit 0');
  });

  it('goes on when whoever started it is killed, and is found', async () => {
    const { home, driver } = place.subject();
    const id = await place.environment();
    const starter = fileURLToPath(import.meta.resolve('../test-starter.ts'));
    const child = spawn(process.execPath, [starter, home.folder, id], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    const [found] = await driver.instances.list();
    expect(found).toMatchObject({ name: `${id}-main-1`, state: 'running' });
    expect(await inside(`${id}-main-1`, 'echo alive')).toBe('alive\nexit 0');
    expect(await place.subject().leftovers()).toEqual([]);
  });
});
