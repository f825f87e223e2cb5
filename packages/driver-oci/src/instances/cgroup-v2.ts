/** Version 2: one hierarchy, controllers handed down from folder to folder. Pure. */
import { counter, type CgroupVersion } from './cgroup-version.ts';

/** The version 2 that is mounted at `mountPoint` with these controllers. */
export function versionTwo(mountPoint: string, controllers: readonly string[]): CgroupVersion {
  const has = (controller: string): boolean => controllers.includes(controller);
  const used = ['cpu', 'memory', 'pids'].filter(has);
  const limit = (file: string, value: number) => ({ hierarchy: mountPoint, file, value: String(value) });
  return {
    name: 'v2',
    hierarchies: [mountPoint],
    tracking: mountPoint,
    enforces: { cpuWeight: has('cpu'), memoryLimit: has('memory'), processLimit: has('pids') },
    handedDown: used.map((controller) => `+${controller}`).join(' '),
    limitFiles: (limits) => [
      ...(has('cpu') ? [limit('cpu.weight', limits.cpuWeight)] : []),
      ...(has('memory')
        ? [
            limit('memory.max', limits.memoryBytesMax),
            // Without it a limit only moves memory to the machine's swap.
            { ...limit('memory.swap.max', 0), optional: true },
          ]
        : []),
      ...(has('pids') ? [limit('pids.max', limits.processesMax)] : []),
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
