/** Under which conditions figures were taken: without them a figure says nothing. */
import { readFileSync, statfsSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { softwareVersion } from '@atelier/api';
import { rootFolder, type Place } from './place.ts';
import { runProgram } from './program.ts';

/** The conditions of a run. */
export interface Conditions {
  /** Abbreviated commit of the checkout, with `-dirty` when files differ from it. */
  readonly commit: string;
  readonly date: string;
  readonly cpuCount: number;
  readonly cpuModel: string;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly cgroups: 'v1' | 'v2' | 'hybrid';
  readonly imageDigest: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Load averages of 1, 5 and 15 minutes. */
  readonly loadBefore: readonly number[];
}

/** Looks at the machine and asks the peers for their versions. */
export async function conditionsOf(place: Place): Promise<Conditions> {
  const say = async (...words: string[]): Promise<string> =>
    (await runProgram({ arguments: words, environment: place.podman.environment })).stdout.trim();
  const [firstCpu] = cpus();
  return {
    commit: await commitOf(),
    date: new Date().toISOString(),
    cpuCount: cpus().length,
    cpuModel: firstCpu?.model ?? '',
    memoryBytes: totalmem(),
    kernel: release(),
    cgroups: cgroupMode(),
    imageDigest: place.imageDigest,
    versions: {
      atelier: softwareVersion,
      node: process.version,
      podman: (await say('podman', '--version')).replace('podman version ', ''),
      crun: (await say('crun', '--version')).split('\n')[0]?.replace('crun version ', '') ?? '',
      netavark: (await say('/usr/lib/podman/netavark', '--version')).replace('netavark ', ''),
      '@devcontainers/cli': devcontainerVersion(),
    },
    loadBefore: loadavg(),
  };
}

/** The abbreviated commit of the checkout. */
async function commitOf(): Promise<string> {
  const git = ['git', '-C', rootFolder, 'describe', '--always', '--dirty', '--abbrev=7', '--exclude=*'];
  return (await runProgram({ arguments: git })).stdout.trim();
}

function devcontainerVersion(): string {
  const url = new URL(import.meta.resolve('@devcontainers/cli/package.json'));
  return String((JSON.parse(readFileSync(url, 'utf8')) as { version?: unknown }).version);
}

const cgroup2Magic = 0x63677270;

function cgroupMode(): Conditions['cgroups'] {
  if (statfsSync('/sys/fs/cgroup').type === cgroup2Magic) return 'v2';
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  return / - cgroup2 /.test(mounts) ? 'hybrid' : 'v1';
}
