/** Version 2: one hierarchy, controllers handed down from folder to folder. Pure. */
import { counter, type CgroupVersion, type LimitFile } from './cgroup-version.ts';

/** The version 2 that is mounted at `mountPoint` with these controllers. */
export function versionTwo(mountPoint: string, controllers: readonly string[]): CgroupVersion {
  const used = (['cpu', 'memory', 'pids'] as const).filter((controller) => controllers.includes(controller));
  const limit = (file: string, value: number | undefined): LimitFile[] =>
    value === undefined ? [] : [{ hierarchy: mountPoint, file, value: String(value) }];
  return {
    name: 'v2',
    hierarchies: [mountPoint],
    tracking: mountPoint,
    controllers: used,
    handedDown: used.map((controller) => `+${controller}`).join(' '),
    limitFiles: (limits) => [
      ...limit('cpu.weight', limits.cpuWeight),
      ...limit('memory.max', limits.memoryBytesMax),
      // Without it a limit only moves memory to the machine's swap.
      ...limit('memory.swap.max', limits.memoryBytesMax && 0).map((file) => ({ ...file, optional: true })),
      ...limit('pids.max', limits.processesMax),
    ],
    usage: (read) => ({
      cpuUsageMs: Math.floor(counter(read(mountPoint, 'cpu.stat'), 'usage_usec') / 1000),
      memoryBytes: Math.max(
        0,
        Number(read(mountPoint, 'memory.current')) -
          counter(read(mountPoint, 'memory.stat'), 'inactive_file'),
      ),
      processes: Number(read(mountPoint, 'pids.current')),
    }),
    outOfMemoryKills: (read) => counter(read(mountPoint, 'memory.events'), 'oom_kill'),
  };
}
