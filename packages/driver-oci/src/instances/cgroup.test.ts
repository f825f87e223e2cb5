import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homeAt } from '../home.ts';
import { parseMountTable } from '../host/mount-table.ts';
import { detectVersion, makeCgroups } from './cgroup.ts';
import { versionTwo } from './cgroup-v2.ts';
import { enforceableLimits, missingControllers, unenforceableLimits } from './cgroup-version.ts';

const hybrid = [
  '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755',
  '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
  '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
  '39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids',
  '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
].join('\n');
const unified = '31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate';
const limits = { cpuWeight: 200, memoryBytesMax: 1 << 28, processesMax: 99 };

describe('cgroup versions', () => {
  it('finds version 1 where version 2 has no memory controller', () => {
    const version = detectVersion(parseMountTable(hybrid), () => 'hugetlb\n');
    expect(version.name).toBe('v1');
    expect(version.hierarchies).toEqual([
      '/sys/fs/cgroup/cpu,cpuacct',
      '/sys/fs/cgroup/memory',
      '/sys/fs/cgroup/pids',
      '/sys/fs/cgroup/unified',
    ]);
    expect(version.tracking).toBe('/sys/fs/cgroup/unified');
    expect(version.limitFiles(limits).map((file) => [file.file, file.value])).toEqual([
      ['cpu.shares', '2048'],
      ['memory.limit_in_bytes', '268435456'],
      ['memory.memsw.limit_in_bytes', '268435456'],
      ['pids.max', '99'],
    ]);
  });

  it('finds version 2 where it has the memory controller, and says what is missing', () => {
    const version = detectVersion(parseMountTable(unified), () => 'cpuset cpu memory\n');
    expect(version.name).toBe('v2');
    expect(version.handedDown).toBe('+cpu +memory');
    expect(version.controllers).toEqual(['cpu', 'memory']);
    expect(Object.keys(missingControllers(version))).toEqual(['pids']);
    expect(missingControllers(version).pids).toMatch(/controller pids is missing .* cgroup_disable=pids/);
  });

  it('finds version 2 without a memory controller where there is no version 1', () => {
    const version = detectVersion(parseMountTable(unified), () => 'cpu pids\n');
    expect([version.name, version.controllers]).toEqual(['v2', ['cpu', 'pids']]);
  });

  it('reads counters of version 2', () => {
    const files: Record<string, string> = {
      'cpu.stat': 'usage_usec 1500000\nuser_usec 1\n',
      'memory.current': '1000\n',
      'memory.stat': 'anon 5\ninactive_file 300\n',
      'pids.current': '7\n',
      'memory.events': 'oom 3\noom_kill 2\n',
    };
    const read = (_: string, file: string): string => files[file] ?? '';
    const version = versionTwo('/x', ['cpu', 'memory', 'pids']);
    expect(version.usage(read)).toEqual({ cpuUsageMs: 1500, memoryBytes: 700, processes: 7 });
    expect(version.outOfMemoryKills(read)).toBe(2);
  });
});

describe('cgroups of version 2', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'atelier-cgroup-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('hand controllers down, write limits and name the leaf to enter', () => {
    const home = homeAt('/nowhere');
    const cgroups = makeCgroups(home, versionTwo(folder, ['cpu', 'memory', 'pids']));
    const ours = join(folder, `atelier-${home.short}`);
    expect(cgroups.make('one', limits)).toEqual([join(ours, 'one/init/cgroup.procs')]);
    for (const place of [folder, ours, join(ours, 'one')]) {
      expect(readFileSync(join(place, 'cgroup.subtree_control'), 'utf8')).toBe('+cpu +memory +pids');
    }
    expect(readFileSync(join(ours, 'one/memory.max'), 'utf8')).toBe('268435456');
    expect(readFileSync(join(ours, 'one/cpu.weight'), 'utf8')).toBe('200');
  });

  it('are refused, not made, with a limit that nothing enforces, and made without it', () => {
    const cgroups = makeCgroups(homeAt('/nowhere'), versionTwo(folder, ['cpu', 'pids']));
    const refused = expect.objectContaining({
      code: 'failed_precondition',
      message: expect.stringMatching(
        /controller memory is missing .* start the kernel with cgroup_enable=memory/,
      ),
    });
    expect(() => cgroups.make('one', limits)).toThrow(refused as Error);
    expect(readdirSync(folder)).toEqual([]);
    expect(Object.keys(unenforceableLimits(cgroups.version, limits))).toEqual(['memoryBytesMax']);
    cgroups.make('one', enforceableLimits(cgroups.version, limits));
    const ours = join(folder, `atelier-${homeAt('/nowhere').short}`, 'one');
    expect(readdirSync(ours).toSorted()).toEqual(
      ['cgroup.subtree_control', 'cpu.weight', 'init', 'pids.max', 'user'].toSorted(),
    );
  });
});
