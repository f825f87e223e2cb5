import { mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@atelier/api/system';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { workspaceFolder } from '../disks/folders.ts';
import { busyboxName, fileOf, missingForImages, openPlace, type Place } from './fixture.ts';

const reason = missingForImages();
if (reason !== undefined) console.warn(`builds are not tested: ${reason}`);

describe.skipIf(reason !== undefined)('a build', () => {
  let place: Place;
  beforeAll(async () => {
    place = await openPlace();
  });
  afterEach(async () => {
    expect(await place.leftovers()).toEqual([]);
  });
  afterAll(() => place?.close());

  const facts = async (script: string, files: Record<string, string> = {}): Promise<string> => {
    const dockerfile = `FROM ${busyboxName}\nCOPY . /context\nRUN (${script}) >/facts 2>&1\n`;
    const image = await place.build(await place.environment({ Dockerfile: dockerfile, ...files }));
    return (await fileOf(place, image, 'facts'))?.text ?? '';
  };

  it('does what its Dockerfile says: stages, target, arguments, ignored files, users', async () => {
    const dockerfile = [
      `ARG BASE=none`,
      `FROM $BASE AS first`,
      'ARG WHO=nobody',
      'COPY --chown=1000:1000 . /context',
      'RUN echo "$WHO" >/who && ls /context >/listed && mkdir /owned && touch /owned/file && chown 5:6 /owned/file && mkdir /user && chown 1000:1000 /user',
      'USER user',
      'ENV MODE=test',
      'RUN id -u >/user/id',
      'FROM first AS second',
      'RUN stat -c %u:%g /owned/file >/user/second',
      'FROM absent.invalid/never:needed',
    ].join('\n');
    const files = {
      'docker/Dockerfile': dockerfile,
      'docker/a.txt': 'a',
      'docker/b.log': 'b',
      'docker/.dockerignore': '*.log\n',
    };
    const image = await place.build(await place.environment(files), {
      contextPath: 'docker',
      dockerfilePath: 'docker/Dockerfile',
      target: 'second',
      buildArguments: { BASE: busyboxName, WHO: 'me and $you "too"' },
    });
    expect(image.configuration).toMatchObject({ user: 'user', labels: { test: 'busybox' } });
    expect(image.configuration.environment).toContain('MODE=test');
    expect(await fileOf(place, image, 'who')).toEqual({ text: 'me and $you "too"\n', owner: '0:0' });
    expect((await fileOf(place, image, 'listed'))?.text).toBe('Dockerfile\na.txt\n');
    expect(await fileOf(place, image, 'context/a.txt')).toEqual({ text: 'a', owner: '1000:1000' });
    expect(await fileOf(place, image, 'user/id')).toEqual({ text: '1000\n', owner: '1000:1000' });
    expect((await fileOf(place, image, 'owned/file'))?.owner).toBe('5:6');
    expect((await fileOf(place, image, 'user/second'))?.text).toContain('5:6');
  });

  it('is answered from the cache while nothing changes, and made anew when something does', async () => {
    const dockerfile = `FROM ${busyboxName}\nCOPY input.txt /input.txt\nRUN cat /input.txt >/output.txt\n`;
    const environmentId = await place.environment({ Dockerfile: dockerfile, 'input.txt': 'one' });
    const first = await place.build(environmentId);
    const sinceMs = systemClock.nowMs();
    expect(await place.build(environmentId)).toEqual(first);
    expect(systemClock.nowMs() - sinceMs).toBeLessThan(1000);
    expect(place.told).toEqual([]);
    place.write(environmentId, 'input.txt', 'two');
    const second = await place.build(environmentId);
    expect((await fileOf(place, second, 'output.txt'))?.text).toBe('two');
    place.write(environmentId, 'unused.txt', '');
    const third = await place.build(environmentId);
    expect(third.digest).toBe(second.digest);
    expect(place.told.join('\n')).toContain('Using cache');
  });

  it('runs its steps as nobody of the host, in the namespaces of the environment', async () => {
    const secret = join(place.home.folder, 'host-secret');
    writeFileSync(secret, 'secret');
    const text = await facts(
      `cat /proc/self/uid_map; readlink /proc/self/ns/net /proc/self/ns/pid /proc/1/root; cat ${secret}; ls -d ${place.home.folder} /proc/1/root/home; cat /proc/self/status; touch /proc/sys/kernel/hostname; ls /sys/fs/cgroup`,
    );
    const [inside, outside, count] = text.trim().split(/\s+/).map(Number);
    expect([inside, count]).toEqual([0, 65536]);
    expect(outside).toBeGreaterThan(65536);
    for (const kind of ['net', 'pid']) expect(text).not.toContain(readlinkSync(`/proc/self/ns/${kind}`));
    expect(text).not.toContain('secret\n');
    expect(text).toContain(`can't open '${secret}'`);
    expect(text).toContain(`${place.home.folder}: No such file`);
    expect(text).toMatch(/Seccomp:\s+2/);
    const effective = BigInt(`0x${/CapEff:\s+(\w+)/.exec(text)?.[1]}`);
    const administrator = 1n << 21n;
    expect(effective & administrator).toBe(0n);
  });

  it('fails with the last lines of its output', async () => {
    const dockerfile = `FROM ${busyboxName}\nRUN echo this is why >&2; exit 3\n`;
    const environmentId = await place.environment({ Dockerfile: dockerfile });
    const failed = expect(place.build(environmentId)).rejects;
    await failed.toMatchObject({
      code: 'failed_precondition',
      message: expect.stringContaining('this is why'),
    });
    place.write(environmentId, 'Dockerfile', `FROM ${busyboxName}\nNONSENSE here\n`);
    await expect(place.build(environmentId)).rejects.toMatchObject({
      code: 'failed_precondition',
      message: expect.stringContaining('NONSENSE'),
    });
  });

  it('wants a Dockerfile, a context and images that there are', async () => {
    const environmentId = await place.environment({ Dockerfile: 'FROM localhost/test/absent\n', file: '' });
    await expect(place.build(environmentId)).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('localhost/test/absent'),
    });
    for (const wrong of [{ dockerfilePath: 'absent' }, { contextPath: 'absent' }, { contextPath: 'file' }]) {
      await expect(place.build(environmentId, wrong)).rejects.toMatchObject({ code: 'invalid_argument' });
    }
  });

  it('never reads a file of the host', async () => {
    const hostname = readFileSync('/etc/hostname', 'utf8').trim();
    const environmentId = await place.environment({ Dockerfile: `FROM ${busyboxName}\nCOPY link /copied\n` });
    const workspace = workspaceFolder(place.home, environmentId);
    symlinkSync('/etc/shadow', join(workspace, 'link'));
    symlinkSync('/etc', join(workspace, 'etc'));
    symlinkSync('../../../../../../../../etc', join(workspace, 'dots'));
    symlinkSync('/etc/hostname', join(workspace, 'Hostfile'));
    symlinkSync('/etc/hostname', join(workspace, '.dockerignore'));
    await expect(place.build(environmentId)).rejects.toMatchObject({ code: 'failed_precondition' });
    for (const path of ['..', '../..', '/etc', 'a/../../b', 'etc', 'dots']) {
      await expect(place.build(environmentId, { contextPath: path })).rejects.toMatchObject({
        code: 'invalid_argument',
      });
    }
    for (const path of ['../Dockerfile', '/etc/hostname', 'Hostfile', 'etc/hostname', 'dots/hostname']) {
      const wrong = place.build(environmentId, { dockerfilePath: path });
      await expect(wrong).rejects.toMatchObject({ code: 'invalid_argument' });
      await expect(wrong).rejects.not.toThrowError(new RegExp(`unknown instruction: ${hostname}`, 'i'));
    }
    const steps = [
      'COPY ../../../../../../../../etc/hostname /copied',
      'COPY etc/hostname /copied',
      'COPY dots/hostname /copied',
      'ADD dots/hostname /copied',
      'RUN --mount=type=bind,source=etc,target=/mnt cat /mnt/hostname >/copied',
      'RUN --mount=type=bind,source=dots,target=/mnt cat /mnt/hostname >/copied',
      'RUN --mount=type=bind,from=first,source=/link,target=/mnt cat /mnt/hostname >/copied',
      'RUN --mount=type=secret,id=x,source=/etc/hostname,required=true cat /run/secrets/x',
    ];
    for (const step of steps) {
      place.write(
        environmentId,
        'Dockerfile',
        `FROM ${busyboxName} AS first\nRUN ln -s /etc /link\nFROM first\n${step}\n`,
      );
      const built = place.build(environmentId);
      await expect(built, step).rejects.toMatchObject({ code: 'failed_precondition' });
      await expect(built, step).rejects.not.toThrowError(new RegExp(`^${hostname}$`, 'm'));
    }
  });

  it('mounts what is its own: context, stages, a cache', async () => {
    const dockerfile = [
      `FROM ${busyboxName} AS first`,
      'RUN echo stage >/stage',
      `FROM ${busyboxName}`,
      'RUN --mount=type=bind,source=folder,target=/a --mount=type=bind,from=first,target=/b --mount=type=cache,target=/c touch /c/file && cat /a/file /b/stage >/copied',
    ].join('\n');
    const image = await place.build(
      await place.environment({ Dockerfile: dockerfile, 'folder/file': 'context\n' }),
    );
    expect((await fileOf(place, image, 'copied'))?.text).toBe('context\nstage\n');
  });

  it('takes its base from references only', async () => {
    const environmentId = await place.environment({});
    mkdirSync(join(place.home.folder, 'image'), { recursive: true });
    for (const from of [
      `dir:${place.home.folder}/image`,
      'docker-daemon:debian:12',
      `oci:${place.home.folder}/image`,
    ]) {
      for (const text of [
        `FROM ${from}\n`,
        `ARG X=${from}\nFROM $X\n`,
        `FROM ${busyboxName}\nCOPY --from=${from} / /x\n`,
      ]) {
        place.write(environmentId, 'Dockerfile', text);
        await expect(place.build(environmentId), text).rejects.toMatchObject({ code: 'invalid_argument' });
      }
    }
    rmSync(join(place.home.folder, 'image'), { recursive: true });
  });

  it('ends with everything it started when nobody waits any more', async () => {
    const dockerfile = `FROM ${busyboxName}\nRUN echo begun; sleep 1000 & sleep 1000\n`;
    const environmentId = await place.environment({ Dockerfile: dockerfile });
    const controller = new AbortController();
    const build = place.build(environmentId, {}, controller.signal);
    await Promise.all([
      expect(build).rejects.toMatchObject({ code: 'canceled' }),
      expect
        .poll(() => place.told, { timeout: 30_000 })
        .toContain('begun')
        .then(() => controller.abort()),
    ]);
    expect(await place.leftovers()).toEqual([]);
    place.write(environmentId, 'Dockerfile', `FROM ${busyboxName}\nRUN echo again >/again\n`);
    expect((await fileOf(place, await place.build(environmentId), 'again'))?.text).toBe('again\n');
  });

  it('works beside that of another home', async () => {
    const other = await openPlace();
    try {
      const dockerfile = `FROM ${busyboxName}\nRUN cat /proc/self/uid_map >/map\n`;
      const homes = [place, other];
      const maps = await Promise.all(
        homes.map(async (each) => {
          const image = await each.build(await each.environment({ Dockerfile: dockerfile }));
          return (await fileOf(each, image, 'map'))?.text;
        }),
      );
      expect(new Set(maps).size).toBe(2);
      expect(await other.leftovers()).toEqual([]);
    } finally {
      await other.close();
    }
  });
});
