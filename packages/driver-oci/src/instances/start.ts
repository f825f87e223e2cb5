/** How an instance comes to be: root file system, binds, cgroup, PID 1. What fails leaves nothing. */
import { closeSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError, type Clock } from '@atelier/api';
import type { InstanceStart } from '@atelier/driver';
import { idRangeSize } from '../claims/id-range.ts';
import type { LayersOf } from '../disks/disks.ts';
import { requireDisk } from '../disks/disks.ts';
import { generationFolder, workspaceFolder } from '../disks/folders.ts';
import { mountRoot, releaseRoot } from '../disks/overlay.ts';
import { filesMax } from '../host/limits.ts';
import type { Inheritance } from '../host/inheritance.ts';
import { readText, writeJson } from '../host/files.ts';
import { ensureNamespaces, type Namespaces } from '../host/namespaces.ts';
import { shortName, type OciHome } from '../home.ts';
import { attachBinds, type Bind } from './binds.ts';
import { bundleConfiguration } from './bundle.ts';
import type { Cgroups } from './cgroup.ts';
import { crunStart } from './crun.ts';
import { etcFiles } from './etc.ts';
import { makeSocketFolder, socketFolderInside, socketInside, type Listeners } from './listen.ts';
import { bundleFolder, currentBoot, supervisorInside, type InstanceRecord } from './records.ts';

/** The part of an attachment that an instance uses. */
export interface AttachedNetwork {
  readonly address: string;
  readonly gateway: string;
}

/** What all instances of a home share. */
export interface InstanceSetting {
  readonly home: OciHome;
  readonly clock: Clock;
  readonly cgroups: Cgroups;
  readonly listeners: Listeners;
  readonly layersOf: LayersOf;
  readonly supervisor: { readonly folder: string; readonly arguments: readonly string[] };
  readonly inheritance: Inheritance;
  /** The attachment of an environment, undefined when it has none. */
  readonly networkOf: (environmentId: string) => AttachedNetwork | undefined;
}

/** What a start was found to need; looked up before anything is made. */
export interface StartPlan {
  readonly start: InstanceStart;
  readonly layers: readonly string[];
  /** Folder with `upper` and `work`. */
  readonly writable: string;
  readonly network: AttachedNetwork | undefined;
}

/** The folder that a root is mounted in while its instance starts. */
export function rootFolder(home: OciHome, name: string): string {
  return join(home.runFolder, 'roots', shortName(home, 12, name));
}

/** Looks up everything that a start needs; changes nothing. Errors: see `InstanceDriver.start`. */
export async function planStart(setting: InstanceSetting, start: InstanceStart): Promise<StartPlan> {
  const { home } = setting;
  const bundle = bundleFolder(home, start.name);
  if (start.mounts.some((mount) => mount.kind === 'workspace')) requireDisk(home, start.environmentId);
  const network = start.network === 'attached' ? requireNetwork(setting, start.environmentId) : undefined;
  if (start.root.kind === 'image') {
    return {
      start,
      network,
      layers: await setting.layersOf(home, start.root.digest),
      writable: join(bundle, 'root'),
    };
  }
  const { generation } = start.root;
  const disk = requireDisk(home, start.environmentId);
  const found = disk.generations.find((each) => each.generation === generation);
  if (found === undefined) {
    const message = `environment ${start.environmentId} has no generation ${generation}: make it first`;
    throw new AtelierError('not_found', message);
  }
  return {
    start,
    network,
    layers: await setting.layersOf(home, found.imageDigest),
    writable: generationFolder(home, start.environmentId, generation),
  };
}

/** Makes what was planned and gives the record of PID 1. */
export async function carryOut(setting: InstanceSetting, plan: StartPlan): Promise<InstanceRecord> {
  const { home, cgroups } = setting;
  const { name, environmentId, limits, root } = plan.start;
  const bundle = bundleFolder(home, name);
  const namespaces = await ensureNamespaces(home, environmentId);
  for (const part of ['etc', ...(root.kind === 'image' ? ['root/upper', 'root/work'] : [])]) {
    mkdirSync(join(bundle, part), { recursive: true, mode: 0o755 });
  }
  const mounted = rootFolder(home, name);
  try {
    const path = mountEverything(setting, plan, namespaces, mounted);
    writeFileSync(join(bundle, 'config.json'), configuration(setting, plan, namespaces, path));
    const process = await crunStart({
      home,
      name,
      bundle,
      cgroupFiles: cgroups.make(name, limits),
      hiddenHierarchy: hiddenHierarchy(cgroups),
    });
    const record = { name, root, process, bootId: currentBoot() };
    writeJson(join(bundle, 'state.json'), record);
    return record;
  } finally {
    releaseRoot(mounted);
  }
}

function mountEverything(
  setting: InstanceSetting,
  plan: StartPlan,
  { base, userFile }: Namespaces,
  folder: string,
): string {
  const userNamespace = openSync(userFile, 'r');
  try {
    const { layers, writable } = plan;
    const root = mountRoot(setting.home, { folder, layers, writable, base, userNamespace });
    attachBinds(root, bindsOf(setting, plan), base, userNamespace);
    return root;
  } finally {
    closeSync(userNamespace);
  }
}

function bindsOf(setting: InstanceSetting, { start, network }: StartPlan): Bind[] {
  const { home, supervisor, inheritance } = setting;
  const readOnly = { access: 'read-only', ids: 'mapped' } as const;
  const etc = etcFiles({ hostname: start.hostname, ...network });
  const etcFolder = join(bundleFolder(home, start.name), 'etc');
  const ofPlace = Object.entries(etc).map(([file, text]): Bind => {
    const source = join(etcFolder, file);
    writeFileSync(source, text, { mode: 0o644 });
    return { source, target: `/etc/${file}`, kind: 'file', access: 'read-write', ids: 'mapped' };
  });
  const asked = start.mounts.map((mount): Bind =>
    mount.kind === 'workspace'
      ? {
          source: workspaceFolder(home, start.environmentId),
          target: mount.target,
          kind: 'folder',
          access: 'read-write',
          ids: 'mapped',
        }
      : { ...readOnly, source: mount.source, target: mount.target, kind: kindOf(mount.source) },
  );
  return [
    ...ofPlace,
    ...inheritance.folders.map((each): Bind => ({ ...readOnly, ...each, kind: 'folder' })),
    ...asked,
    { ...readOnly, source: supervisor.folder, target: supervisorInside, kind: 'folder' },
    {
      source: makeSocketFolder(home, start.name),
      target: socketFolderInside,
      kind: 'folder',
      access: 'read-only',
      ids: 'plain',
    },
  ];
}

function configuration(
  setting: InstanceSetting,
  { start, network }: StartPlan,
  namespaces: Namespaces,
  root: string,
): string {
  return bundleConfiguration({
    root,
    arguments: setting.supervisor.arguments,
    environment: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ...setting.inheritance.environment,
      ...start.environment,
      ATELIER_SOCKET: socketInside,
    },
    hostname: start.hostname,
    userNamespaceFile: namespaces.userFile,
    networkNamespaceFile: network && namespaces.networkFile,
    base: namespaces.base,
    idCount: idRangeSize,
    filesMax: filesMax(),
    architecture: process.arch,
  });
}

/** A version 2 hierarchy that stands beside version 1, which crun does not accept while it has controllers. */
function hiddenHierarchy({ version }: Cgroups): string | undefined {
  if (version.name !== 'v1') return undefined;
  const controllers = readText(join(version.tracking, 'cgroup.controllers'))?.trim() ?? '';
  return controllers === '' ? undefined : version.tracking;
}

function kindOf(source: string): 'folder' | 'file' {
  const found = statSync(source, { throwIfNoEntry: false });
  if (found !== undefined) return found.isDirectory() ? 'folder' : 'file';
  throw new AtelierError('not_found', `${source} is to be mounted and is not there: make it first`);
}

function requireNetwork(setting: InstanceSetting, environmentId: string): AttachedNetwork {
  const network = setting.networkOf(environmentId);
  if (network !== undefined) return network;
  const message = `environment ${environmentId} has no network attachment: make it first`;
  throw new AtelierError('failed_precondition', message);
}
