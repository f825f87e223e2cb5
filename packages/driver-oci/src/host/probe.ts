/** Whether environments can run on this machine, found out by trying; what is tried is taken away again. */
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { AtelierError, toAtelierError } from '@atelier/api';
import { FieldValueSchema } from '@atelier/api/gitpod/field_value';
import type { DriverReport } from '@atelier/driver';
import { claimsOf } from '../claims/claims.ts';
import { mountRoot, releaseRoot } from '../disks/overlay.ts';
import type { OciHome } from '../home.ts';
import { missingControllers, type CgroupVersion } from '../instances/cgroup-version.ts';
import { forwardingEnabled } from '../networks/networks.ts';
import { hostResolvers } from '../networks/resolver.ts';
import { ruleset } from '../networks/ruleset.ts';
import type { Inheritance } from './inheritance.ts';
import { filesMax } from './limits.ts';
import { ensureNamespaces, removeNamespaces } from './namespaces.ts';
import { whyNoRoot } from './root.ts';
import { tryRun } from './run.ts';
import { asOwner } from './syscalls.ts';

/** What a probe looks at beside the machine itself. */
export interface ProbeSetting {
  readonly home: OciHome;
  readonly cgroup: CgroupVersion;
  readonly inheritance: Inheritance;
}

/** Programs that nothing works without, and the package that they come in. */
const programs = [
  ['crun', 'crun'],
  ['ip', 'iproute2'],
  ['nft', 'nftables'],
  ['unshare', 'util-linux'],
  ['nsenter', 'util-linux'],
] as const;

const diskBytesMin = 1024 ** 3;
/**
 * No environment has such an id, so nothing of an environment is touched. With the process in it, so that one
 * that `doctor` makes and one of the daemon of the same home do not get in each other's way.
 */
const probeOwner = `probe-${process.pid}`;

/** What this machine can enforce, and what is in the way; see `Driver.probe`. */
export async function probeMachine(setting: ProbeSetting): Promise<DriverReport> {
  const { home, cgroup, inheritance } = setting;
  const noRoot = whyNoRoot();
  const problems = [
    ...(await missingPrograms()),
    ...(noRoot === undefined ? [] : [noRoot]),
    ...diskProblems(home),
  ];
  const isTried = problems.length === 0;
  const mounting = isTried ? await wordsOf(() => tryRoot(home)) : 'not tried';
  const firewall = noRoot === undefined ? await wordsOf(() => tryRules(home)) : 'not tried';
  if (isTried && mounting !== undefined) problems.push(`root file system: ${mounting}`);
  if (noRoot === undefined && firewall !== undefined) problems.push(`firewall: ${firewall}`);
  const foreign = await foreignForwardPolicies();
  const conditions: Record<string, string> = {
    cgroup: `cgroups ${cgroup.name}; limits by ${cgroup.controllers.join(', ') || 'no controller'}`,
    ...Object.fromEntries(
      Object.entries(missingControllers(cgroup)).map(([controller, why]) => [`cgroup-${controller}`, why]),
    ),
    files: `an environment may have ${filesMax()} files open per process, as this process may`,
    forwarding: forwardingEnabled()
      ? 'the kernel forwards packets (net.ipv4.ip_forward)'
      : 'the kernel does not forward packets yet: net.ipv4.ip_forward is set with the first network',
    resolver: `names are resolved by ${hostResolvers().join(', ') || 'nobody: /etc/resolv.conf names no server'}`,
    ...(foreign.length > 0 && {
      'foreign-firewall': `${foreign.join(', ')} drops forwarded packets, those of environments too: allow interfaces at+ there`,
    }),
    inheritance: inheritance.report.join('; '),
  };
  return {
    capabilities: {
      userNamespaces: mounting === undefined,
      cpuWeight: cgroup.controllers.includes('cpu'),
      memoryLimit: cgroup.controllers.includes('memory'),
      processLimit: cgroup.controllers.includes('pids'),
      networkIsolation: firewall === undefined,
      imageBuild: (await exitCodeOf('buildah', ['--version'])) === 0,
    },
    conditions: Object.entries(conditions).map(([key, value]) => create(FieldValueSchema, { key, value })),
    problems,
  };
}

/** Chains of other tables that drop what is forwarded unless a rule allows it, from `nft -j list chains`. */
export function droppingChains(json: string, ours: string): string[] {
  interface Chain {
    readonly family: string;
    readonly table: string;
    readonly name: string;
    readonly hook?: string;
    readonly policy?: string;
  }
  const { nftables = [] } = JSON.parse(json) as { nftables?: Array<{ chain?: Chain }> };
  return nftables.flatMap(({ chain }) => {
    if (chain?.hook !== 'forward' || chain.policy !== 'drop' || chain.table.startsWith(ours)) return [];
    return [`chain ${chain.name} of table ${chain.family} ${chain.table}`];
  });
}

async function foreignForwardPolicies(): Promise<string[]> {
  const { exitCode, output } = await tryRun('nft', ['--json', 'list', 'chains']).catch(() => ({
    exitCode: 1,
    output: '',
  }));
  return exitCode === 0 ? droppingChains(output, 'atelier_') : [];
}

async function exitCodeOf(program: string, args: readonly string[]): Promise<number> {
  return tryRun(program, args).then(
    ({ exitCode }) => exitCode,
    () => 1,
  );
}

async function missingPrograms(): Promise<string[]> {
  const found = await Promise.all(
    programs.map(async ([program, source]) => {
      const works = (await exitCodeOf(program, [program === 'ip' ? '-V' : '--version'])) === 0;
      return works ? [] : [`${program} is not installed: install the package ${source}`];
    }),
  );
  return found.flat();
}

function diskProblems(home: OciHome): string[] {
  const { bavail, bsize } = statfsSync(home.folder);
  const free = bavail * bsize;
  if (free >= diskBytesMin) return [];
  return [
    `${Math.floor(free / 1024 ** 2)} MiB are free in ${home.folder}: 1024 are needed, delete something`,
  ];
}

/** The words of the error of `attempt`, undefined when it has none. */
async function wordsOf(attempt: () => Promise<void>): Promise<string | undefined> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return toAtelierError(error).message;
  }
}

/** Namespaces, id-mapped mounts and an overlay on them, in which a file gets the right owner. */
async function tryRoot(home: OciHome): Promise<void> {
  removeOfDead(home);
  const { layer, writable, folder } = foldersOf(home, probeOwner);
  try {
    // First, because its claim is what a probe that was killed is found by.
    const { base, userFile } = await ensureNamespaces(home, probeOwner);
    for (const made of [layer, join(writable, 'upper'), join(writable, 'work')]) {
      mkdirSync(made, { recursive: true });
    }
    const userNamespace = openSync(userFile, 'r');
    try {
      const root = mountRoot(home, { folder, layers: [layer], writable, base, userNamespace });
      asOwner(base, () => writeFileSync(join(root, 'file'), ''));
    } finally {
      closeSync(userNamespace);
    }
    const { uid } = lstatSync(join(writable, 'upper/file'));
    if (uid === 0) return;
    throw new AtelierError('failed_precondition', `a file of root inside has owner ${uid} on disk, not 0`);
  } finally {
    removeTried(home, probeOwner);
  }
}

function foldersOf(home: OciHome, owner: string): { layer: string; writable: string; folder: string } {
  return {
    layer: join(home.storageFolder, `.atelier-${owner}`),
    writable: join(home.folder, 'runner', owner),
    folder: join(home.runFolder, 'roots', owner),
  };
}

function removeTried(home: OciHome, owner: string): void {
  const { layer, writable, folder } = foldersOf(home, owner);
  releaseRoot(folder);
  rmSync(layer, { recursive: true, force: true });
  rmSync(writable, { recursive: true, force: true });
  removeNamespaces(home, owner);
}

/** What probes left behind whose process was killed. */
function removeOfDead(home: OciHome): void {
  for (const { owner } of claimsOf(home)) {
    const pid = /^probe-(\d+)$/.exec(owner)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeTried(home, owner);
  }
}

/** Our own rules in a table of another name, which is gone again in the same transaction. */
async function tryRules(home: OciHome): Promise<void> {
  const short = `${home.short}_probe`;
  const example = {
    environmentId: '',
    link: 'at0000000000000',
    gateway: '10.0.0.0',
    address: '10.0.0.1',
    policy: { egress: 'internet', privateRanges: true },
  } as const;
  const input = ruleset(short, [example], [{ address: '10.0.0.2', port: 80 }]) + ruleset(short, [], []);
  const { exitCode, errorOutput } = await tryRun('nft', ['-f', '-'], { input });
  if (exitCode === 0) return;
  const words = errorOutput.trim().split('\n')[0] ?? '';
  throw new AtelierError('failed_precondition', `nftables refuses our rules: ${words}`);
}
