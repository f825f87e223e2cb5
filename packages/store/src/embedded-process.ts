/** The embedded server's process: found by what the kernel says of it, because a pid file can lie. */
import { spawn } from 'node:child_process';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AtelierError, sleep, type Clock } from '@atelier/api';
import type { ServerFolders } from './embedded-folders.ts';
import type { ServerUser } from './embedded-user.ts';

const stopTimeoutMs = 30_000;
const pidFileTimeoutMs = 2_000;
const pollMs = 20;

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
 * The pid of the live server on a data folder. A pid file that names no such server is removed: PostgreSQL
 * would take any process of our own user that has got the number for itself, and refuse to start over a file
 * that a crash of the machine has left empty. A server that has lost its pid file is stopped: it would end
 * itself within a minute.
 */
export async function findServer(dataFolder: string, clock: Clock): Promise<number | undefined> {
  const pidFile = join(dataFolder, 'postmaster.pid');
  const deadlineMs = clock.nowMs() + pidFileTimeoutMs;
  for (;;) {
    const text = await readFile(pidFile, 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const pid = Number(text.split('\n', 1)[0]);
    if (Number.isInteger(pid) && pid > 1 && (await isServer(pid, dataFolder))) return pid;
    const servers = await serversOn(dataFolder);
    if (servers.length === 0) {
      await removeUnchanged(pidFile, text);
      return undefined;
    }
    // A server that is just starting has made its pid file and not yet written it.
    if (clock.nowMs() > deadlineMs) await Promise.all(servers.map((each) => stopServer(each, clock)));
    else await sleep(clock, pollMs);
  }
}

async function serversOn(dataFolder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => ((await isServer(pid, dataFolder)) ? [pid] : [])));
  return found.flat();
}

/** Only what was read is removed: a server that starts in this moment has written its own. */
async function removeUnchanged(path: string, text: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) await rm(path, { force: true });
}

async function isServer(pid: number, dataFolder: string): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const [program = '', flag, folder] = command.split('\0');
  return program.endsWith('/postgres') && flag === '-D' && folder === dataFolder;
}

/** Starts a server that outlives us; it may still end by itself, when another one holds the data. */
export async function spawnServer(
  program: string,
  user: ServerUser,
  folders: ServerFolders,
): Promise<number> {
  const log = await open(folders.log, 'a', 0o600);
  try {
    const flags = Object.entries({ ...settings, unix_socket_directories: folders.socket });
    const child = spawn(
      program,
      ['-D', folders.data, ...flags.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        stdio: ['ignore', log.fd, log.fd],
        detached: true,
        cwd: folders.data,
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
    throw new AtelierError('unavailable', `PostgreSQL could not be started from ${program}`, {
      cause: error,
    });
  } finally {
    await log.close();
  }
}

/** SIGINT is PostgreSQL's fast shutdown: clients are disconnected, everything is written. */
export async function stopServer(pid: number, clock: Clock): Promise<void> {
  const deadlineMs = clock.nowMs() + stopTimeoutMs;
  if (await isAlive(pid)) process.kill(pid, 'SIGINT');
  while (await isAlive(pid)) {
    if (clock.nowMs() > deadlineMs) {
      throw new AtelierError(
        'deadline_exceeded',
        `PostgreSQL (process ${pid}) did not stop; it is still running`,
      );
    }
    await sleep(clock, pollMs);
  }
}

/** Whether the process runs; one that has ended and was not collected by its parent does not. */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name of the program, in parentheses, may hold anything.
  const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  return state !== '' && state !== 'Z' && state !== 'X';
}
