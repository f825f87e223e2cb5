import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { claimFirst, listClaims, releaseClaim } from '../claims/claims.ts';
import { linkName } from '../networks/attachments.ts';
import { makeCgroups } from '../instances/cgroup.ts';
import { isRunning, readRecord } from '../instances/records.ts';
import { describePlace } from '../test-place.ts';
import { makeSubject } from '../test-subject.ts';
import { mountsBelow } from './mount-table.ts';
import { findNamespaces } from './namespaces.ts';
import { mount, mountFlags, unmount } from './syscalls.ts';

const internet = { egress: 'internet', privateRanges: false } as const;
const limits = { cpuWeight: 100, memoryBytesMax: 64 << 20, processesMax: 20 };

describePlace('the look for leftovers', (place) => {
  const expectFound = async (what: RegExp): Promise<void> => {
    const found = await place.subject().leftovers();
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(what);
  };

  it('finds nothing beside a running environment with a network', async () => {
    await place.start(await place.environment(internet));
    expect(await place.subject().leftovers()).toEqual([]);
  });

  it('finds a mount', async () => {
    const { home } = place.subject();
    const target = join(home.environmentsFolder, '..', 'planted');
    mkdirSync(target);
    const inside = join(home.runFolder, 'sockets');
    mount(target, inside, '', mountFlags.bind, '');
    try {
      await expectFound(/^mount .*sockets$/);
    } finally {
      unmount(inside);
      rmSync(target, { recursive: true });
    }
  });

  it('finds a cgroup, and a process in it', async () => {
    const cgroups = makeCgroups(place.subject().home);
    const files = cgroups.make('planted', limits);
    await expectFound(/^cgroup of planted$/);
    const script = 'for file; do echo 0 >"$file"; done; exec sleep 60';
    const child = execFileSync('sh', ['-c', `sh -c '${script}' sh "$@" >&- 2>&- & echo $!`, 'sh', ...files]);
    const pid = child.toString().trim();
    await expect.poll(() => cgroups.processes('planted')).toEqual([Number(pid)]);
    expect(await place.subject().leftovers()).toContain(`process ${pid} in the cgroup of planted`);
    cgroups.kill('planted');
    await expect.poll(() => cgroups.remove('planted')).toBe(true);
  });

  it('finds an interface that nobody claims', async () => {
    const link = linkName(place.subject().home, 'planted');
    execFileSync('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', `${link.slice(0, -1)}p`]);
    try {
      expect(await place.subject().leftovers()).toContain(`interface ${link}`);
    } finally {
      execFileSync('ip', ['link', 'delete', link]);
    }
  });

  it('finds rules, claims and files', async () => {
    const { home } = place.subject();
    execFileSync('nft', ['add', 'table', 'inet', `atelier_${home.short}`]);
    await expectFound(/^nftables table/);
    execFileSync('nft', ['delete', 'table', 'inet', `atelier_${home.short}`]);
    claimFirst(home, 'ids', 'planted', ['7']);
    await expectFound(/^claim of ids 7 for environment planted$/);
    releaseClaim(home, 'ids', 'planted');
    writeFileSync(join(home.environmentsFolder, 'planted'), '');
    await expectFound(/^file .*planted$/);
    rmSync(join(home.environmentsFolder, 'planted'));
  });
});

describePlace('two homes on one machine', (place) => {
  it('share nothing, and one leaves the other alone', async () => {
    const other = await makeSubject();
    try {
      const id = await place.environment(internet);
      const { disks, networks, instances } = other.driver;
      await disks.ensure(id);
      await disks.ensureGeneration(id, 1, other.imageDigest);
      const away = await networks.ensure(id, internet);
      const [here] = await place.subject().driver.networks.list();
      expect(here?.address).not.toBe(away.address);
      const mine = await place.start(id);
      const bases = [place.subject().home, other.home].map((home) => findNamespaces(home, id)?.base);
      expect(new Set(bases).size).toBe(2);
      expect(await instances.list()).toEqual([]);
      await instances.remove(mine.name);
      await networks.remove(id);
      await disks.remove(id);
      expect(await other.leftovers()).toEqual([]);
      expect(await place.subject().driver.instances.list()).toEqual([mine]);
      expect(await place.subject().driver.networks.list()).toEqual([here]);
      expect(await place.subject().inside(mine.name, 'echo on')).toBe('on\nexit 0');
    } finally {
      await other.close();
    }
  });

  it('are cleaned up after when one is deleted while it runs', async () => {
    const gone = await makeSubject();
    const { home, driver } = gone;
    const id = await place.environment();
    await driver.disks.ensure(id);
    await driver.disks.ensureGeneration(id, 1, gone.imageDigest);
    await driver.networks.ensure(id, internet);
    const { name } = await driver.instances.start({
      name: `${id}-main-1`,
      environmentId: id,
      root: { kind: 'disk', generation: 1 },
      mounts: [],
      network: 'attached',
      environment: {},
      hostname: 'gone',
      limits,
    });
    const record = readRecord(home, name);
    await driver.close();
    rmSync(home.folder, { recursive: true });
    expect(record && isRunning(record)).toBe(true);
    expect(existsSync(`/sys/class/net/${linkName(home, id)}`)).toBe(true);

    const next = await makeSubject();
    expect(record && isRunning(record)).toBe(false);
    expect(mountsBelow(home.runFolder)).toEqual([]);
    expect(existsSync(home.runFolder)).toBe(false);
    expect(existsSync(`/sys/class/net/${linkName(home, id)}`)).toBe(false);
    expect(makeCgroups(home).names()).toEqual([]);
    expect(listClaims().filter((claim) => claim.homeFolder === home.folder)).toEqual([]);
    const tables = execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
    expect(tables).not.toContain(home.short);
    await next.close();
  });
});

describePlace('a probe', (place) => {
  it('finds that environments can run here, and says what a person should know', async () => {
    const report = await place.subject().driver.probe();
    expect(report.problems).toEqual([]);
    expect(report.capabilities).toMatchObject({ userNamespaces: true, networkIsolation: true });
    expect(report.conditions.map((each) => each.key)).toEqual(
      expect.arrayContaining(['cgroup', 'files', 'forwarding', 'resolver']),
    );
  });
});
