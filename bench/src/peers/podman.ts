/** Bare podman on the images of the bench's home: `podman run -d` and `podman exec`, nothing in between. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram, timeToFirstByte, type Command } from '../program.ts';
import type { Corner } from './corner.ts';

/** Podman as the bench calls it. */
export interface Podman {
  readonly environment: Readonly<Record<string, string>>;
  /** Runs `podman` with these words to its end. Errors: as `runProgram`. */
  call(...words: readonly string[]): Promise<string>;
  /** Starts a container that sleeps; gives its id and the time that `podman run -d` took. */
  run(image: string): Promise<{ readonly id: string; readonly tookMs: number }>;
  /** Starts a stopped container again; gives the time that it took. */
  start(id: string): Promise<number>;
  /** The time until the first byte of a command in a container. */
  firstByte(id: string): Promise<number>;
  /** The time until a command in a container has ended. */
  roundTrip(id: string): Promise<number>;
  /** Removes a container, running or not. */
  remove(id: string): Promise<void>;
}

/** What everybody's first command is: its output is the first byte. */
export const firstCommand = ['/bin/echo', 'ready'] as const;

/** Writes podman's configuration for the bench's home and gives podman in the corner. */
export function openPodman(homeFolder: string, corner: Corner): Podman {
  const environment = writeConfiguration(homeFolder);
  const command = (...words: readonly string[]): Command => ({
    arguments: [...corner.enter, 'podman', ...words],
    environment,
  });
  return {
    environment,
    call: async (...words) => (await runProgram(command(...words))).stdout,
    async run(image) {
      const { stdout, tookMs } = await runProgram(command('run', '-d', image, 'sleep', 'infinity'));
      return { id: stdout.trim(), tookMs };
    },
    start: async (id) => (await runProgram(command('start', id))).tookMs,
    firstByte: (id) => timeToFirstByte(command('exec', id, ...firstCommand)),
    roundTrip: async (id) => (await runProgram(command('exec', id, ...firstCommand))).tookMs,
    async remove(id) {
      await runProgram(command('rm', '--force', '--time=0', id));
    },
  };
}

/**
 * The storage is that of the home. No cgroup is made for a container: that is less work than Atelier does, and on
 * machines with both versions of cgroups nothing else works. Limits are those of this process, because podman's
 * own are above what some machines allow.
 */
function writeConfiguration(homeFolder: string): Record<string, string> {
  const folder = join(homeFolder, 'peers');
  mkdirSync(folder, { recursive: true });
  const files = {
    CONTAINERS_CONF: `[containers]
cgroups = "disabled"
default_ulimits = ["nofile=${hardLimit('Max open files')}", "nproc=${hardLimit('Max processes')}"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"

[network]
network_backend = "netavark"
network_config_dir = ${JSON.stringify(join(folder, 'networks'))}
`,
    CONTAINERS_STORAGE_CONF: `[storage]
driver = "overlay"
graphroot = ${JSON.stringify(join(homeFolder, 'storage'))}
runroot = "/run/containers/storage"
`,
    CONTAINERS_REGISTRIES_CONF: 'unqualified-search-registries = []\n',
  };
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => {
      const path = join(folder, `${name.toLowerCase()}.conf`);
      writeFileSync(path, text);
      return [name, path];
    }),
  );
}

const processesMax = 32768;

/** The hard limit of this process as `soft:hard`. */
function hardLimit(name: string): string {
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(name));
  const words = line?.trim().split(/ {2,}/) ?? [];
  const hard = Math.min(Number(words[2]) || processesMax, name === 'Max processes' ? processesMax : Infinity);
  return `${hard}:${hard}`;
}
