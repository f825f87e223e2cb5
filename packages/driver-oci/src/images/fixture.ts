/** A home for the container tests of images, with a small image in it, that is gone afterwards. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { AtelierError, makeId } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import type { Driver, Image, ImageBuild, ImageRequest } from '@atelier/driver';
import { createOciDriver, findLeftovers, openHome, type OciDriverOptions, type OciHome } from '../index.ts';
import { claimsOf, dropClaim } from '../claims/claims.ts';
import { workspaceFolder } from '../disks/folders.ts';
import { namesIn } from '../host/files.ts';
import { hostVariables } from '../host/system.ts';
import { layersOf } from './layers.ts';
import { prepareBuildah, runBuildah, withTemporaryFolder } from './storage.ts';

/** Why container tests of images cannot run here; undefined when they can. */
export function missingForImages(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const programs = ['buildah', 'crun', 'busybox', 'nsenter', 'unshare'];
  const missing = programs.find(
    (name) => !['/bin', '/sbin'].some((folder) => existsSync(join('/usr', folder, name))),
  );
  return missing && `needs the program ${missing}`;
}

/** A home under test, with the real driver of it and the small image {@link busyboxName}. */
export interface Place {
  readonly home: OciHome;
  readonly driver: Driver;
  /** What was told of the last request. */
  readonly told: string[];
  ensure(request: ImageRequest, signal?: AbortSignal): Promise<Image>;
  /** Makes an environment with these files in its workspace; gives its id. */
  environment(files: Readonly<Record<string, string>>): Promise<string>;
  build(environmentId: string, different?: Partial<ImageBuild>, signal?: AbortSignal): Promise<Image>;
  write(environmentId: string, path: string, text: string): void;
  buildah(...args: string[]): Promise<void>;
  /** What must not be there: working containers, mounts, temporary folders, and what `findLeftovers` finds. */
  leftovers(): Promise<string[]>;
  close(): Promise<void>;
}

/** Name of the small image that each place begins with. */
export const busyboxName = 'localhost/test/busybox:latest';

/** Opens a place. `variables` stand in for those of this process; `different` changes the driver's options. */
export async function openPlace(
  variables: Readonly<Record<string, string>> = {},
  different: Partial<OciDriverOptions> = {},
): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'atelier-images-'));
  const home = openHome(folder);
  const kept = { ...hostVariables };
  Object.assign(hostVariables, variables);
  const driver = await openDriver(home, different).finally(() => restoreVariables(kept, variables));
  const tools = prepareBuildah(home, hostVariables);
  const told: string[] = [];
  const never = new AbortController().signal;

  const buildah = async (...args: string[]): Promise<void> => {
    const { exitCode, lines } = await runBuildah(tools, args, { signal: never });
    if (exitCode !== 0) throw new AtelierError('internal', lines.join('\n'));
  };
  const ensure = (request: ImageRequest, signal = never): Promise<Image> => {
    told.length = 0;
    return driver.images.ensure(request, (line) => told.push(line), signal);
  };
  await withTemporaryFolder(home, async (root) => {
    plantSmallImage(root);
    await buildah('bud', '--signature-policy', tools.policyFile, '--tag', busyboxName, root);
  });
  const write = (environmentId: string, path: string, text: string): void => {
    const file = join(workspaceFolder(home, environmentId), path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  return {
    home,
    driver,
    told,
    ensure,
    write,
    buildah,
    async environment(files) {
      const environmentId = makeId(systemClock.nowMs(), systemRandom);
      await driver.disks.ensure(environmentId);
      for (const [path, text] of Object.entries(files)) write(environmentId, path, text);
      return environmentId;
    },
    build: (environmentId, different = {}, signal = never) =>
      ensure(
        {
          kind: 'build',
          build: {
            environmentId,
            contextPath: '.',
            dockerfilePath: 'Dockerfile',
            buildArguments: {},
            ...different,
          },
        },
        signal,
      ),
    leftovers: async () => [...(await findLeftovers(folder)), ...imageLeftovers(home)],
    async close() {
      for (const network of await driver.networks.list()) await driver.networks.remove(network.environmentId);
      for (const disk of await driver.disks.list()) await driver.disks.remove(disk.environmentId);
      await driver.close();
      for (const claim of claimsOf(home)) dropClaim(claim, () => true);
      rmSync(folder, { recursive: true, force: true });
      rmSync(home.runFolder, { recursive: true, force: true });
    },
  };
}

/** Opens another driver on a home, with what should be different. */
export function openDriver(home: OciHome, different: Partial<OciDriverOptions> = {}): Promise<Driver> {
  const supervisor = { folder: '/usr', arguments: ['true'] };
  return createOciDriver({ home: home.folder, clock: systemClock, supervisor, ...different });
}

function restoreVariables(kept: typeof hostVariables, changed: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(changed)) {
    const before = kept[name];
    if (before === undefined) delete (hostVariables as Record<string, string | undefined>)[name];
    else Object.assign(hostVariables, { [name]: before });
  }
}

function plantSmallImage(folder: string): void {
  plantBusybox(join(folder, 'root'));
  writeFileSync(
    join(folder, 'Dockerfile'),
    'FROM scratch\nCOPY root /\nLABEL test=busybox\nCMD ["/bin/sh"]\n',
  );
}

function plantBusybox(root: string): void {
  for (const folder of ['bin', 'etc', 'tmp', 'root']) mkdirSync(join(root, folder), { recursive: true });
  const busybox = existsSync('/usr/bin/busybox') ? '/usr/bin/busybox' : '/bin/busybox';
  execFileSync('cp', [busybox, join(root, 'bin/busybox')]);
  for (const name of [
    'sh',
    'cat',
    'chown',
    'id',
    'ln',
    'ip',
    'ls',
    'mkdir',
    'readlink',
    'sleep',
    'stat',
    'touch',
    'wget',
  ]) {
    symlinkSync('busybox', join(root, 'bin', name));
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n');
}

function imageLeftovers(home: OciHome): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(home.folder));
  const containers = join(home.storageFolder, 'overlay-containers/containers.json');
  const known = existsSync(containers) ? (JSON.parse(readFileSync(containers, 'utf8')) as unknown[]) : [];
  const commands = namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandOf(pid))
    .filter((command) => command.includes(home.folder));
  return [
    ...mounts.map((line) => `mount ${line}`),
    ...known.map((container) => `working container ${JSON.stringify(container)}`),
    ...namesIn(join(home.folder, 'storage-temporary')).map((name) => `temporary folder ${name}`),
    ...namesIn(dirname(home.runFolder)).filter((name) => name === `${home.short}-build`),
    ...commands.map((command) => `process ${command}`),
  ];
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** A file of an image with the ids of its owner on disk; undefined when it has none of this path. */
export async function fileOf(
  { home }: Place,
  { digest }: Image,
  path: string,
): Promise<{ text: string; owner: string } | undefined> {
  for (const layer of await layersOf(home, digest)) {
    const file = join(layer, path);
    const status = statSync(file, { throwIfNoEntry: false });
    if (status?.isFile()) return { text: readFileSync(file, 'utf8'), owner: `${status.uid}:${status.gid}` };
  }
  return undefined;
}
