/**
 * Where a build runs: the steps of a Dockerfile are foreign code, and so they get what an instance of their
 * environment gets, its namespaces, its network, and a cgroup of their own with limits.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { instanceName, type Clock } from '@atelier/api';
import type { InstanceLimits } from '@atelier/driver';
import { machineFolder, type OciHome } from '../home.ts';
import { removeIfEmpty } from '../host/files.ts';
import type { Inheritance } from '../host/inheritance.ts';
import { ensureNamespaces, type Namespaces } from '../host/namespaces.ts';
import type { Serial } from '../host/serial.ts';
import { enforceableLimits } from '../instances/cgroup-version.ts';
import type { Cgroups } from '../instances/cgroup.ts';
import { killAll, removeCgroups } from '../instances/death.ts';
import { etcFiles } from '../instances/etc.ts';
import { runtimeScript, type BuildPlan } from './build-plan.ts';

/** What the confinement of builds is made of: the same parts as that of instances. */
export interface ConfinementSetting {
  readonly home: OciHome;
  readonly clock: Clock;
  readonly cgroups: Cgroups;
  readonly inheritance: Inheritance;
  /** One change of an environment at a time, shared with disks, networks and instances. */
  readonly serial: Serial;
  /** The network of an environment, undefined when it has none. */
  readonly networkOf: (environmentId: string) => { readonly gateway: string } | undefined;
  /** Gives up the namespaces of an environment when nothing uses them any more. */
  readonly releaseNamespaces: (environmentId: string) => void;
}

/** A confinement that is ready. */
export interface Confinement {
  /** Program and arguments that stand before those of buildah. */
  readonly command: readonly string[];
  /** What buildah calls as its runtime. */
  readonly runtime: string;
  /** Where the tree that is passed as open file 3 is seen. */
  readonly contextFolder: string;
  readonly hasNetwork: boolean;
}

/** A build yields to running environments, and leaves the machine enough to live. */
const limits = (): InstanceLimits => ({
  cpuWeight: 50,
  memoryBytesMax: Math.floor((totalmem() * 0.75) / 65536) * 65536,
  processesMax: 8192,
});

/**
 * Enters the cgroups and namespaces of a build and calls buildah: as PID 1, so that with it everything ends, in
 * a mount namespace of its own, so that no mount is left, and in the network of the environment, so that what
 * an ADD fetches is fetched from there. crun refuses to work where it sees both versions of cgroups.
 */
const enter = `set -eu
network=$1; shift
while [ "$1" != -- ]; do echo 0 > "$1"; shift; done; shift
exec nsenter --net="$network" unshare --mount --pid --fork --kill-child --mount-proc sh -euc '
umount --lazy /sys/fs/cgroup/unified 2>/dev/null || true
[ ! -e /etc/resolv.conf ] || mount --bind "$1" /etc/resolv.conf
"$2" context
shift 2
ip link set lo up
exec "$@" 3<&-
' sh "$@"
`;

/** Runs `work` with a confinement in a temporary folder, and takes the confinement away afterwards. */
export async function confined<T>(
  setting: ConfinementSetting,
  environmentId: string,
  folder: string,
  work: (confinement: Confinement) => Promise<T>,
): Promise<T> {
  const { home, clock, cgroups, serial } = setting;
  // Instances count from 1: this cgroup is never that of one.
  const cgroup = instanceName(environmentId, 'build', 0);
  const rootFolder = join(machineFolder, `${home.short}-build`);
  const namespaces = await serial(environmentId, () => ensureNamespaces(home, environmentId));
  try {
    mkdirSync(rootFolder, { recursive: true });
    // Root inside must be able to walk to its root.
    for (const entered of [machineFolder, rootFolder]) chmodSync(entered, 0o711);
    const network = setting.networkOf(environmentId);
    const plan = planOf(setting, namespaces, { folder, rootFolder });
    const files = writeFiles(plan, network?.gateway);
    const own = enforceableLimits(cgroups.version, limits());
    const entered = [namespaces.networkFile, ...cgroups.make(cgroup, own), '--'];
    return await work({
      command: ['sh', '-c', enter, 'sh', ...entered, files.resolver, files.runtime],
      runtime: files.runtime,
      contextFolder: join(folder, 'context'),
      hasNetwork: network !== undefined,
    });
  } finally {
    await killAll(clock, cgroups, cgroup);
    await removeCgroups(clock, cgroups, cgroup);
    removeIfEmpty(rootFolder);
    await serial(environmentId, async () => setting.releaseNamespaces(environmentId));
  }
}

/** Below /dev nothing that is mounted leaves a trace in the image. */
const inheritedFolder = '/dev/atelier-host';

function planOf(
  { home, inheritance }: ConfinementSetting,
  namespaces: Namespaces,
  { folder, rootFolder }: { readonly folder: string; readonly rootFolder: string },
): BuildPlan {
  const moved = inheritance.folders.map(({ source, target }, index) => ({
    source,
    target,
    destination: `${inheritedFolder}/${index}`,
  }));
  const environment = Object.entries(inheritance.environment).map(([name, value]) => {
    const from = moved.find(({ target }) => value.startsWith(`${target}/`));
    return `${name}=${from === undefined ? value : from.destination + value.slice(from.target.length)}`;
  });
  return {
    base: namespaces.base,
    userNamespaceFile: namespaces.userFile,
    networkNamespaceFile: namespaces.networkFile,
    rootFolder,
    overlayFolder: join(home.storageFolder, 'overlay'),
    temporaryFolder: folder,
    compileCacheFolder: join(home.folder, 'storage-configuration/compiled'),
    environment,
    folders: moved.map(({ source, destination }) => ({ source, destination })),
  };
}

function writeFiles(plan: BuildPlan, gateway: string | undefined): { resolver: string; runtime: string } {
  const [resolver, runtime, planFile] = ['resolv.conf', 'runtime', 'plan.json'].map((name) =>
    join(plan.temporaryFolder, name),
  ) as [string, string, string];
  for (const name of ['context', 'views']) mkdirSync(join(plan.temporaryFolder, name));
  writeFileSync(planFile, JSON.stringify(plan));
  writeFileSync(resolver, etcFiles({ hostname: 'localhost', gateway })['resolv.conf'] ?? '');
  writeFileSync(runtime, runtimeScript(plan, planFile), { mode: 0o700 });
  return { resolver, runtime };
}
