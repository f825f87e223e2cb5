/**
 * PostgreSQL as a child process of the daemon, for a plane that was given no database. Its binaries come
 * with an npm package, its data lies in the home, only its own user and root reach its socket.
 *
 * PostgreSQL refuses to run as root: then it runs as the system user `atelier-postgres`, which is made when
 * it is missing, and everything it needs is copied to where that user can reach it. A server that a killed
 * daemon left behind is adopted: there is never a second one on the same data.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, chown, mkdir, open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AtelierError, sleep, type Clock } from '@atelier/api';
import { Client } from 'pg';
import { installBinaries, makeDataFolder, type PostgresBinaries } from './embedded-files.ts';
import { serverUser, type ServerUser } from './embedded-user.ts';

/** How the embedded server is started. */
export interface EmbeddedPostgresOptions {
  /** Folder for data, binaries and log; made when missing. Every folder above must let its user pass. */
  readonly folder: string;
  readonly clock: Clock;
  /** Where a prepared data folder is kept between homes, to save the seconds of its making. */
  readonly cacheFolder?: string;
}

/** A server that answers. */
export interface EmbeddedPostgres {
  /** Connection string for {@link openPostgresStore}. */
  readonly url: string;
  /** Process id of the server. */
  readonly pid: number;
  /** Ends the server cleanly and waits for it. */
  stop(): Promise<void>;
}

const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;
const pollMs = 20;
/** A socket's path may have 107 bytes; its name in the folder takes 16. */
const socketFolderBytesMax = 90;

/** Settings for a small server that never loses an acknowledged commit. */
const settings: Record<string, string> = {
  listen_addresses: '',
  max_connections: '40',
  shared_buffers: '16MB',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '128MB',
  jit: 'off',
  autovacuum_max_workers: '1',
  max_worker_processes: '2',
  io_method: 'sync',
};

/**
 * Starts the server or adopts the one that runs. Errors: `failed_precondition` (the folder cannot be used:
 * says why and what to do), `unavailable` (it did not come up: ends with the last lines of its log).
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const user = await serverUser(options.folder);
  const paths = await prepareFolders(options.folder, user);
  const binaries = await installBinaries(options.folder, user);
  await makeDataFolder({ binaries, user, dataFolder: paths.data, cacheFolder: options.cacheFolder });
  const url = `postgresql://atelier@localhost/postgres?host=${encodeURIComponent(paths.socket)}`;
  const adopted = await runningServer(paths.data);
  const pid = adopted ?? (await startServer(binaries, user, paths));
  await waitUntilReady(url, pid, paths, options.clock);
  return { url, pid, stop: () => stopServer(pid, options.clock) };
}

interface Folders {
  readonly data: string;
  readonly socket: string;
  readonly log: string;
}

async function prepareFolders(folder: string, user: ServerUser): Promise<Folders> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  let socket = join(folder, 'run');
  if (Buffer.byteLength(socket) > socketFolderBytesMax) {
    const short = createHash('sha256').update(folder).digest('hex').slice(0, 12);
    socket = join(tmpdir(), `atelier-postgres-${short}`);
  }
  await mkdir(socket, { recursive: true, mode: 0o700 });
  await chmod(socket, 0o700);
  if (user.switched) await chown(socket, user.uid, user.gid);
  return { data: join(folder, 'data'), socket, log: join(folder, 'postgres.log') };
}

/** The pid of a live server on this data folder, by its own pid file and the process's command line. */
async function runningServer(dataFolder: string): Promise<number | undefined> {
  const text = await readFile(join(dataFolder, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number(text.split('\n', 1)[0]);
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return command.includes(dataFolder) ? pid : undefined;
}

async function startServer(binaries: PostgresBinaries, user: ServerUser, paths: Folders): Promise<number> {
  const log = await open(paths.log, 'a', 0o600);
  try {
    const flags = Object.entries({ ...settings, unix_socket_directories: paths.socket });
    const child = spawn(
      binaries.postgres,
      ['-D', paths.data, ...flags.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        stdio: ['ignore', log.fd, log.fd],
        detached: true,
        cwd: paths.data,
        env: { LANG: 'C.UTF-8' },
        ...(user.switched ? { uid: user.uid, gid: user.gid } : {}),
      },
    );
    child.unref();
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.on('error', () => undefined);
    return child.pid ?? 0;
  } catch (error) {
    throw new AtelierError('unavailable', `PostgreSQL could not be started from ${binaries.postgres}`, {
      cause: error,
    });
  } finally {
    await log.close();
  }
}

async function waitUntilReady(url: string, pid: number, paths: Folders, clock: Clock): Promise<void> {
  const deadlineMs = clock.nowMs() + startTimeoutMs;
  for (;;) {
    if (await answers(url)) return;
    if (!isAlive(pid) || clock.nowMs() > deadlineMs) {
      const log = await readFile(paths.log, 'utf8').catch(() => '');
      const tail = log.trimEnd().split('\n').slice(-5).join('\n');
      throw new AtelierError(
        'unavailable',
        `PostgreSQL in ${paths.data} did not come up; its log ends with:\n${tail}`,
      );
    }
    await sleep(clock, pollMs);
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    // Not yet: the caller tries again until its deadline and then shows the server's log.
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** SIGINT is PostgreSQL's fast shutdown: clients are disconnected, everything is written. */
async function stopServer(pid: number, clock: Clock): Promise<void> {
  const deadlineMs = clock.nowMs() + stopTimeoutMs;
  if (isAlive(pid)) process.kill(pid, 'SIGINT');
  while (isAlive(pid)) {
    if (clock.nowMs() > deadlineMs) {
      throw new AtelierError(
        'deadline_exceeded',
        `PostgreSQL (process ${pid}) did not stop; it is still running`,
      );
    }
    await sleep(clock, pollMs);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH: gone. EPERM cannot happen for a server that runs as our own user or below root.
    return false;
  }
}
