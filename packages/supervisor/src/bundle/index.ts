/**
 * Builds the folder that is mounted read-only at /opt/atelier inside every environment: the supervisor with
 * all it needs to run in an image that has nothing. Runs on the host.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { writeScript } from './compiled.ts';
import { librariesOf } from './libraries.ts';
import { bundleScript } from './script.ts';

/** Where the bundle is inside. */
const target = '/opt/atelier';
/** Written beside the bundles: what the newest was made of, so that an unchanged one is found in no time. */
const recordName = 'inputs.json';
const contentNamePattern = /^[0-9a-f]{32}$/;
/** Of a bundle that is being taken away. */
const goingPrefix = '.going-';

/** A bundle on this machine's disk. */
export interface SupervisorBundle {
  /** The folder to mount read-only at /opt/atelier; named by its content, never changed. */
  readonly folder: string;
  /** The command line of PID 1 inside. */
  readonly arguments: string[];
}

/** One file of the bundle and where it comes from. */
interface Part {
  readonly name: string;
  readonly source: string;
}

interface Recorded {
  readonly folder: string;
  readonly loader: string;
  /** Size and time of change by path: of every file that went in. */
  readonly inputs: Record<string, string>;
}

/**
 * Builds the bundle below `targetParentFolder`, or finds the one that is there: it takes a few milliseconds
 * when nothing has changed and about a second otherwise. Callers may build at the same time.
 * `failed_precondition` when this machine lacks a program that goes in.
 */
export async function buildSupervisorBundle(targetParentFolder: string): Promise<SupervisorBundle> {
  await mkdir(targetParentFolder, { recursive: true });
  const recordPath = join(targetParentFolder, recordName);
  const recorded = await unchanged(targetParentFolder, recordPath);
  if (recorded) return bundleOf(targetParentFolder, recorded);
  const script = await bundleScript();
  const parts = await binaryParts();
  const inputs = await identities([
    ...builderFiles(),
    ...script.inputs,
    ...parts.map(({ source }) => source),
  ]);
  const folder = await contentName(script.text, parts);
  if (!(await exists(join(targetParentFolder, folder))))
    await write(targetParentFolder, folder, script.text, parts);
  const loader = parts.find(({ name }) => name.startsWith('lib/ld-linux'))?.name ?? '';
  const record: Recorded = { folder, loader, inputs };
  const temporary = await mkdtemp(join(targetParentFolder, '.record-'));
  await writeFile(join(temporary, recordName), JSON.stringify(record));
  await rename(join(temporary, recordName), recordPath);
  await rm(temporary, { recursive: true });
  return bundleOf(targetParentFolder, record);
}

/**
 * Takes away the bundles below `targetParentFolder` that are not among `names`: those of earlier versions that
 * nothing runs on any more.
 */
export async function keepBundles(targetParentFolder: string, names: readonly string[]): Promise<void> {
  for (const name of await readdir(targetParentFolder)) {
    let going = name;
    if (contentNamePattern.test(name) && !names.includes(name)) {
      // Under another name first: half a bundle under its own would be taken for a whole one.
      going = `${goingPrefix}${name}`;
      await rename(join(targetParentFolder, name), join(targetParentFolder, going));
    }
    if (!going.startsWith(goingPrefix)) continue;
    await rm(join(targetParentFolder, going), { recursive: true, force: true });
  }
}

function bundleOf(parent: string, { folder, loader }: Recorded): SupervisorBundle {
  const inside = (name: string): string => `${target}/${name}`;
  return {
    folder: join(parent, folder),
    arguments: [
      inside('bin/catatonit'),
      '--',
      inside(loader),
      '--library-path',
      inside('lib'),
      inside('bin/node'),
      ...nodeFlags,
      inside('supervisor.js'),
    ],
  };
}

/** Of the runtime inside: memory counts, since every environment pays for it, and speed hardly. */
const nodeFlags = ['--max-semi-space-size=1'];

async function binaryParts(): Promise<Part[]> {
  const require = createRequire(import.meta.url);
  const platform = `@lydell/node-pty-${process.platform}-${process.arch}/pty.node`;
  const programs: Part[] = [
    { name: 'bin/node', source: process.execPath },
    { name: 'bin/catatonit', source: await programOf('catatonit', 'catatonit') },
    { name: 'bin/chroot', source: await programOf('chroot', 'coreutils') },
    { name: 'koffi.node', source: koffiAddon() },
    { name: 'pty.node', source: createRequire(require.resolve('@lydell/node-pty')).resolve(platform) },
  ];
  const libraries = await librariesOf(
    programs.filter(({ name }) => name !== 'bin/catatonit').map(({ source }) => source),
  );
  const keepAlive = join(import.meta.dirname, 'atelier-keep-alive.sh');
  return [
    ...programs,
    { name: 'bin/atelier-keep-alive', source: keepAlive },
    ...libraries.map((source) => ({ name: join('lib', nameOf(source)), source })),
  ];
}

/** The native part of koffi for this machine; its script would look for it in more places than there are inside. */
function koffiAddon(): string {
  const { platform, arch } = process;
  const require = createRequire(import.meta.url);
  return createRequire(require.resolve('koffi')).resolve(
    `@koromix/koffi-${platform}-${arch}/${platform}_${arch}/koffi.node`,
  );
}

/** How it is built is an input as well. */
function builderFiles(): string[] {
  return ['index.ts', 'script.ts', 'libraries.ts', 'compiled.ts'].map((name) =>
    join(import.meta.dirname, name),
  );
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

async function programOf(name: string, packageName: string): Promise<string> {
  for (const folder of ['/usr/bin', '/usr/sbin', '/usr/libexec/podman', '/usr/local/bin']) {
    if (await exists(join(folder, name))) return join(folder, name);
  }
  const message = `This machine has no ${name}, which goes into every environment. Install the package ${packageName}.`;
  throw new AtelierError('failed_precondition', message);
}

async function unchanged(parent: string, recordPath: string): Promise<Recorded | undefined> {
  try {
    const recorded = JSON.parse(await readFile(recordPath, 'utf8')) as Recorded;
    const now = await identities(Object.keys(recorded.inputs));
    // Another checkout wrote the record, and what that is made of says nothing about this one.
    if (!builderFiles().every((path) => path in recorded.inputs)) return undefined;
    const same = Object.entries(recorded.inputs).every(([path, identity]) => now[path] === identity);
    return same && (await exists(join(parent, recorded.folder))) ? recorded : undefined;
  } catch {
    return undefined;
  }
}

async function identities(paths: readonly string[]): Promise<Record<string, string>> {
  const entries = paths.map(async (path) => {
    const { size, mtimeMs, ino } = await stat(path);
    return [path, `${size}/${mtimeMs}/${ino}`] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function contentName(script: string, parts: readonly Part[]): Promise<string> {
  const hash = createHash('sha256').update(script);
  for (const { name, source } of parts) {
    const content = createHash('sha256')
      .update(await readFile(source))
      .digest('hex');
    hash.update(`${name}\0${content}\0`);
  }
  return hash.digest('hex').slice(0, 32);
}

async function write(parent: string, folder: string, script: string, parts: readonly Part[]): Promise<void> {
  const temporary = await mkdtemp(join(parent, '.new-'));
  for (const { name, source } of parts) {
    const path = join(temporary, name);
    await mkdir(dirname(path), { recursive: true });
    // The runtime is a hundred megabytes; a link costs nothing and shares its pages with the host's own.
    if (name === 'bin/node' && (await tryLink(source, path))) continue;
    await copyFile(source, path, constants.COPYFILE_FICLONE);
    await chmod(path, 0o755);
  }
  await writeScript(temporary, script, nodeFlags);
  await chmod(temporary, 0o755);
  try {
    await rename(temporary, join(parent, folder));
  } catch (thrown) {
    await rm(temporary, { recursive: true, force: true });
    // Another process of ours was faster and made the same.
    if (!(await exists(join(parent, folder)))) throw thrown;
  }
}

async function tryLink(source: string, path: string): Promise<boolean> {
  return link(source, path).then(
    () => true,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
