/**
 * The cgroups of this machine's kernel, whichever version governs it. `./check --guest` runs this file on a kernel with
 * version 2 alone; a machine of today may have either.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstanceLimits } from '@atelier/driver';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homeAt } from '../home.ts';
import { cgroupLeaves, detectVersion, makeCgroups, type Cgroups } from './cgroup.ts';

const whyNotTwo =
  detectVersion().name === 'v2'
    ? ''
    : ' (left out: version 1 governs this machine; ./check --guest tries them)';
const isRoot = process.getuid?.() === 0;
const limits = { cpuWeight: 200, memoryBytesMax: 64 << 20, processesMax: 20 };
const patient = { timeout: 120_000 };
const name = 'one';

let folder: string;
let cgroups: Cgroups;
let ours: string;
const started: ChildProcess[] = [];

/** Runs a shell script that is born in the leaf `init`. */
function enter(files: readonly string[], script: string): ChildProcess {
  const join_ = 'for file in $1; do echo 0 >"$file"; done; eval "$2"';
  const child = spawn('/bin/sh', ['-c', join_, 'sh', files.join(' '), script], { stdio: 'ignore' });
  started.push(child);
  return child;
}

const make = (instance: string, given: InstanceLimits): string[] => cgroups.make(instance, given);
const file = (hierarchy: string, ...parts: string[]): string => join(hierarchy, ours, ...parts);
const read = (...parts: [string, ...string[]]): string => readFileSync(file(...parts), 'utf8').trim();
const number = (text: string, word: string): number =>
  Number(new RegExp(`^${word} (\\d+)$`, 'm').exec(text)?.[1]);

/** Ends everything in it and takes it away, as the driver does. */
async function end(instance: string): Promise<void> {
  await expect
    .poll(() => {
      cgroups.kill(instance);
      return cgroups.processes(instance);
    }, patient)
    .toEqual([]);
  await expect.poll(() => cgroups.remove(instance), patient).toBe(true);
}

describe.skipIf(!isRoot)(
  isRoot ? 'cgroups of the kernel' : 'cgroups of the kernel (left out: only root has them)',
  () => {
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'atelier-cgroup-'));
      const home = homeAt(folder);
      cgroups = makeCgroups(home);
      ours = `atelier-${home.short}`;
    });
    afterEach(async () => {
      for (const instance of cgroups.names()) await end(instance);
      for (const child of started.splice(0)) child.kill('SIGKILL');
      expect(cgroups.version.hierarchies.filter((hierarchy) => existsSync(file(hierarchy)))).toEqual([]);
      rmSync(folder, { recursive: true });
    });

    it('show their limits, hold what is born in them, count it, and are listed until they are removed', async () => {
      const files = make(name, limits);
      // A second make after a crash in between is no error.
      expect(make(name, limits)).toEqual(files);
      for (const limit of cgroups.version.limitFiles(limits)) {
        if (!limit.optional) expect(read(limit.hierarchy, name, limit.file)).toBe(limit.value);
      }
      const child = enter(files, 'while :; do :; done');
      await expect.poll(() => cgroups.processes(name), patient).toEqual([child.pid]);
      for (const hierarchy of cgroups.version.hierarchies)
        expect(read(hierarchy, name, 'init/cgroup.procs')).toBe(String(child.pid));
      await expect.poll(() => cgroups.usage(name).cpuUsageMs, patient).toBeGreaterThan(0);
      expect(cgroups.usage(name)).toMatchObject({ processes: 1 });
      expect(cgroups.usage(name).memoryBytes).toBeGreaterThan(0);
      expect(cgroups.names()).toEqual([name]);
      expect(cgroups.remove(name)).toBe(false);
      await end(name);
      expect(cgroups.names()).toEqual([]);
    });

    it('refuse a process more than the limit, and say so', async () => {
      const pids = cgroups.version.limitFiles(limits).find((limit) => limit.file === 'pids.max');
      enter(make(name, limits), 'while :; do sleep 1000 & done');
      const refused = (): number =>
        Math.max(
          ...[name, `${name}/init`].map((group) =>
            number(read(pids?.hierarchy ?? '', group, 'pids.events'), 'max'),
          ),
        );
      await expect.poll(refused, patient).toBeGreaterThan(0);
      expect(cgroups.usage(name).processes).toBeLessThanOrEqual(limits.processesMax);
    });

    it('count a kill for want of memory, and leave a neighbour alone', async () => {
      const neighbour = enter(make('other', limits), 'exec sleep 1000');
      // Keeps the one line that it is given in memory.
      enter(make(name, limits), 'head -c 300000000 /dev/zero | tail -n 1');
      await expect.poll(() => cgroups.outOfMemoryKills(name), patient).toBeGreaterThan(0);
      expect(cgroups.outOfMemoryKills('other')).toBe(0);
      expect(cgroups.processes('other')).toEqual([neighbour.pid]);
    });

    it('kill all that forks as fast as it can', async () => {
      const script = 'f() { while :; do (f) & sleep 0.01; done; }; f';
      enter(make(name, { ...limits, processesMax: 200 }), script);
      await expect.poll(() => cgroups.processes(name).length, patient).toBeGreaterThan(50);
      await end(name);
    });

    it('divide one processor by their weights', async () => {
      const spin = 'exec taskset -c 0 sh -c "while :; do :; done"';
      for (const [instance, cpuWeight] of [
        ['light', 100],
        ['heavy', 1000],
      ] as const) {
        enter(make(instance, { cpuWeight }), spin);
      }
      const used = (instance: string): number => cgroups.usage(instance).cpuUsageMs;
      await expect.poll(() => Math.min(used('light'), used('heavy')), patient).toBeGreaterThan(0);
      const before = { light: used('light'), heavy: used('heavy') };
      await expect.poll(() => used('light') - before.light, patient).toBeGreaterThan(200);
      expect(used('heavy') - before.heavy).toBeGreaterThan(3 * (used('light') - before.light));
    });

    describe.skipIf(whyNotTwo !== '')(`of version 2${whyNotTwo}`, () => {
      const root = (): string => cgroups.version.tracking;

      it('hand controllers down to the leaves, and have no process above them', () => {
        make(name, limits);
        for (const group of ['', name]) {
          expect(read(root(), group, 'cgroup.subtree_control').split(' ')).toEqual(
            expect.arrayContaining(['cpu', 'memory', 'pids']),
          );
        }
        for (const leaf of cgroupLeaves) {
          expect(read(root(), name, leaf, 'cgroup.controllers').split(' ')).toEqual(
            expect.arrayContaining(['cpu', 'memory', 'pids']),
          );
          expect(read(root(), name, leaf, 'memory.max')).toBe('max');
        }
        const above = file(root(), name, 'cgroup.procs');
        expect(() => writeFileSync(above, String(process.pid))).toThrow(
          expect.objectContaining({ code: 'EBUSY' }) as Error,
        );
        // An engine inside makes its own below a leaf.
        const nested = file(root(), name, 'user/nested');
        mkdirSync(nested);
        expect(readFileSync(join(nested, 'cgroup.procs'), 'utf8')).toBe('');
        rmdirSync(nested);
      });

      it('are killed at once, frozen ones too', async () => {
        const child = enter(make(name, limits), 'sleep 1000 & sleep 1000');
        await expect.poll(() => cgroups.processes(name).length, patient).toBe(3);
        writeFileSync(file(root(), name, 'cgroup.freeze'), '1');
        await expect.poll(() => number(read(root(), name, 'cgroup.events'), 'frozen'), patient).toBe(1);
        expect(existsSync(file(root(), name, 'cgroup.kill'))).toBe(true);
        cgroups.kill(name);
        await expect.poll(() => cgroups.processes(name), patient).toEqual([]);
        await expect.poll(() => child.signalCode, patient).toBe('SIGKILL');
        expect(number(read(root(), name, 'cgroup.events'), 'populated')).toBe(0);
      });

      it('count in the leaf and in the whole what the memory limit did', async () => {
        const files = make(name, limits);
        expect(read(root(), name, 'memory.high')).toBe('max');
        if (existsSync(file(root(), name, 'memory.swap.max')))
          expect(read(root(), name, 'memory.swap.max')).toBe('0');
        enter(files, 'head -c 300000000 /dev/zero | tail -n 1');
        await expect
          .poll(() => number(read(root(), name, 'init/memory.events'), 'oom_kill'), patient)
          .toBeGreaterThan(0);
        expect(number(read(root(), name, 'memory.events'), 'oom')).toBeGreaterThan(0);
        expect(number(read(root(), name, 'memory.events'), 'oom_kill')).toBe(cgroups.outOfMemoryKills(name));
      });
    });
  },
);
