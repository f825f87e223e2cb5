/** Version 1: a hierarchy per controller. A unified hierarchy beside them, where there is one, can kill. Pure. */
import type { MountEntry } from '../host/mount-table.ts';
import { counter, type CgroupVersion, type LimitController, type LimitFile } from './cgroup-version.ts';

const controllers = ['cpu', 'cpuacct', 'memory', 'pids', 'freezer'] as const;
/** 100 is ordinary for us, 1024 for the kernel. */
const sharesPerWeight = 10.24;
const sharesMin = 2;

/** The version 1 of a machine with this mount table; `unified` is the mount point of version 2 beside it. */
export function versionOne(table: readonly MountEntry[], unified: string | undefined): CgroupVersion {
  const mounted = new Map<string, string>();
  for (const entry of table.filter((each) => each.type === 'cgroup')) {
    for (const option of entry.options) mounted.set(option, entry.mountPoint);
  }
  const at = (controller: (typeof controllers)[number]): string => mounted.get(controller) ?? '';
  const found = controllers.map(at).filter((point) => point !== '');
  const limit = (controller: LimitController, file: string, value: number | undefined): LimitFile[] =>
    value === undefined ? [] : [{ hierarchy: at(controller), file, value: String(value) }];
  return {
    name: 'v1',
    hierarchies: [...new Set([...found, ...(unified === undefined ? [] : [unified])])],
    tracking: unified ?? found.at(-1) ?? '',
    controllers: (['cpu', 'memory', 'pids'] as const).filter((controller) => at(controller) !== ''),
    handedDown: '',
    limitFiles: (limits) => [
      ...limit('cpu', 'cpu.shares', sharesOf(limits.cpuWeight)),
      ...limit('memory', 'memory.limit_in_bytes', limits.memoryBytesMax),
      // Memory and swap together: without it a limit only moves memory to the machine's swap.
      ...limit('memory', 'memory.memsw.limit_in_bytes', limits.memoryBytesMax).map((file) => ({
        ...file,
        optional: true,
      })),
      ...limit('pids', 'pids.max', limits.processesMax),
    ],
    usage: (read) => {
      const cached = counter(read(at('memory'), 'memory.stat'), 'total_inactive_file');
      return {
        cpuUsageMs: Math.floor(Number(read(at('cpuacct'), 'cpuacct.usage')) / 1e6),
        memoryBytes: Math.max(0, Number(read(at('memory'), 'memory.usage_in_bytes')) - cached),
        processes: Number(read(at('pids'), 'pids.current')),
      };
    },
    outOfMemoryKills: (read) => counter(read(at('memory'), 'memory.oom_control'), 'oom_kill'),
  };
}

function sharesOf(cpuWeight: number | undefined): number | undefined {
  return cpuWeight && Math.max(sharesMin, Math.round(cpuWeight * sharesPerWeight));
}
