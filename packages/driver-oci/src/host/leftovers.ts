/**
 * What is on the machine and should not be: made for a home, and belonging to no instance, attachment or disk of
 * it. Used by the doctor command and by every test of this driver. It looks at the machine and not at what a
 * removal believes to have done.
 */
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { claimsOf, listClaims } from '../claims/claims.ts';
import { inspectDisk } from '../disks/disks.ts';
import { environmentFolder, environmentIds, generationsFolder } from '../disks/folders.ts';
import { homeAt, shortName, type OciHome } from '../home.ts';
import { makeCgroups } from '../instances/cgroup.ts';
import { socketFolderNames } from '../instances/listen.ts';
import { bundleNames, hasInstances, readRecord } from '../instances/records.ts';
import { rootFolder } from '../instances/start.ts';
import { allAttachments, attachedIds, isOurLink } from '../networks/attachments.ts';
import { tableName } from '../networks/ruleset.ts';
import { namesIn } from './files.ts';
import { mountsBelow } from './mount-table.ts';
import { namespaceFolder } from './namespaces.ts';
import { tryRun } from './run.ts';

/**
 * A sentence for each thing that is left over; none on a clean machine. Take it while nothing starts or is being
 * removed: what is half made looks like what was half removed.
 */
export async function findLeftovers(homeFolder: string): Promise<string[]> {
  const home = homeAt(realpathSync(homeFolder));
  return [
    ...mounts(home),
    ...processes(home),
    ...interfaces(home),
    ...(await rules(home)),
    ...claims(home),
    ...runFiles(home),
    ...diskFiles(home),
  ];
}

/** Environments that may have namespaces and a range of ids. */
function activeIds(home: OciHome): string[] {
  const attached = allAttachments(home).map(({ environmentId }) => environmentId);
  const used = environmentIds(home).filter((id) => hasInstances(home, id));
  return [...new Set([...attached, ...used])];
}

function mounts(home: OciHome): string[] {
  const expected = new Set(
    activeIds(home).flatMap((id) => {
      const folder = namespaceFolder(home, id);
      return [join(folder, 'user'), join(folder, 'network')];
    }),
  );
  return [...mountsBelow(home.runFolder), ...mountsBelow(home.environmentsFolder)]
    .filter((point) => !expected.has(point))
    .map((point) => `mount ${point}`);
}

function processes(home: OciHome): string[] {
  const cgroups = makeCgroups(home);
  return cgroups
    .names()
    .filter((name) => !knownInstances(home).includes(name))
    .flatMap((name) => [
      `cgroup of ${name}`,
      ...cgroups.processes(name).map((pid) => `process ${pid} in the cgroup of ${name}`),
    ]);
}

/** An interface of our form that no home has claimed counts here too: its maker is not known any more. */
function interfaces(home: OciHome): string[] {
  const attached = allAttachments(home).map(({ link }) => link);
  const foreign = listClaims().filter((claim) => claim.kind === 'link' && claim.homeFolder !== home.folder);
  const others = new Set(foreign.map((claim) => claim.key));
  return namesIn('/sys/class/net')
    .filter((link) => isOurLink(link) && !attached.includes(link) && !others.has(link))
    .map((link) => `interface ${link}`);
}

async function rules(home: OciHome): Promise<string[]> {
  if (allAttachments(home).length > 0) return [];
  const table = tableName(home.short);
  const { exitCode } = await tryRun('nft', ['list', 'table', 'inet', table]);
  return exitCode === 0 ? [`nftables table ${table}`] : [];
}

function claims(home: OciHome): string[] {
  const active = activeIds(home);
  const attached = allAttachments(home).map(({ environmentId }) => environmentId);
  return claimsOf(home)
    .filter(({ kind, owner }) => kind !== 'home' && !(kind === 'ids' ? active : attached).includes(owner))
    .map(({ kind, key, owner }) => `claim of ${kind} ${key} for environment ${owner}`);
}

function runFiles(home: OciHome): string[] {
  const instances = knownInstances(home);
  const expected: Record<string, string[]> = {
    namespaces: activeIds(home).map((id) => namespaceFolder(home, id)),
    crun: instances.map((name) => join(home.runFolder, 'crun', name)),
    roots: instances.map((name) => rootFolder(home, name)),
    networks: attachedIds(home)
      .filter((id) => allAttachments(home).some(({ environmentId }) => environmentId === id))
      .map((id) => join(home.runFolder, 'networks', id)),
  };
  const sockets = instances.map((name) => shortName(home, 12, name));
  return [
    ...Object.entries(expected).flatMap(([part, paths]) =>
      namesIn(join(home.runFolder, part))
        .map((name) => join(home.runFolder, part, name))
        .filter((path) => !paths.includes(path)),
    ),
    ...socketFolderNames(home)
      .filter((name) => !sockets.includes(name))
      .map((name) => join(home.runFolder, 'sockets', name)),
  ].map((path) => `file ${path}`);
}

function diskFiles(home: OciHome): string[] {
  return namesIn(home.environmentsFolder).flatMap((id) => {
    const folder = join(home.environmentsFolder, id);
    if (!environmentIds(home).includes(id)) return [`file ${folder}`];
    const halfMade = bundleNames(home, id).filter((name) => readRecord(home, name) === undefined);
    const drafts = [environmentFolder(home, id), generationsFolder(home, id)].flatMap((place) =>
      namesIn(place)
        .filter((name) => name.startsWith('.'))
        .map((name) => `file ${join(place, name)}`),
    );
    const empty = inspectDisk(home, id) === undefined && !hasInstances(home, id);
    return [
      ...(empty ? [`file ${folder}`] : []),
      ...drafts,
      ...halfMade.map((name) => `half made instance ${name}`),
    ];
  });
}

function knownInstances(home: OciHome): string[] {
  return environmentIds(home).flatMap((id) => bundleNames(home, id));
}
