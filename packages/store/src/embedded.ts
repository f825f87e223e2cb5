/**
 * PostgreSQL as a child process of the daemon, for a plane that was given no database. Its binaries come
 * with an npm package, its data lies in the home, only its own user and root reach its socket.
 *
 * PostgreSQL refuses to run as root: then it runs as the system user `atelier-postgres`, which is made when
 * it is missing, and everything it needs is copied to where that user can reach it. A server that a killed
 * daemon left behind is adopted: there is never a second one on the same data.
 */
import { readFile, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { AtelierError, sleep, type Clock } from '@atelier/api';
import { Client } from 'pg';
import { installBinaries, makeDataFolder, requireOurData, type PostgresBinaries } from './embedded-files.ts';
import { folderError, prepareFolders, type ServerFolders } from './embedded-folders.ts';
import { findServer, isAlive, spawnServer, stopServer } from './embedded-process.ts';
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
const pollMs = 20;
const logLinesShown = 5;

interface Installation {
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser;
  readonly folders: ServerFolders;
}

/**
 * Starts the server or adopts the one that runs; of two starts at once one starts it and both get it. Errors:
 * `failed_precondition` (the folder cannot be used: says why and what to do), `resource_exhausted` (no room on
 * the disk), `unavailable` (it did not come up: ends with the last lines of its log).
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { clock } = options;
  const installation = await install(options);
  const { folders } = installation;
  const url = `postgresql://atelier@localhost/postgres?host=${encodeURIComponent(folders.socket)}`;
  const deadlineMs = clock.nowMs() + startTimeoutMs;
  for (let adopted = false; ; adopted = false) {
    const found = await findServer(folders.data, clock);
    adopted = found !== undefined;
    const pid = found ?? (await spawnServer(installation.binaries.postgres, installation.user, folders));
    if (await becomesReady(url, pid, clock, deadlineMs)) {
      // Whoever answers is the server: ours, or one that was started in the same moment.
      const server = (await findServer(folders.data, clock)) ?? pid;
      return { url, pid: server, stop: () => stop(server, folders, clock) };
    }
    // An adopted server may have been on its way out, and ours gives way to one that holds the data already.
    const another = adopted || (await findServer(folders.data, clock)) !== undefined;
    if (!another || clock.nowMs() >= deadlineMs) throw await didNotComeUp(folders);
  }
}

async function install(options: EmbeddedPostgresOptions): Promise<Installation> {
  const folder = resolve(options.folder);
  try {
    const user = await serverUser();
    const folders = await prepareFolders(folder, user);
    await requireOurData(folders.data);
    const binaries = await installBinaries(folder, user);
    const { cacheFolder } = options;
    await makeDataFolder({ binaries, user, dataFolder: folders.data, cacheFolder });
    return { binaries, user, folders };
  } catch (error) {
    throw folderError(folder, error);
  }
}

async function stop(pid: number, folders: ServerFolders, clock: Clock): Promise<void> {
  await stopServer(pid, clock);
  if (folders.socketIsApart) await rm(folders.socket, { recursive: true, force: true });
}

/** Waits until the server answers; false when its process has ended or the deadline has passed. */
async function becomesReady(url: string, pid: number, clock: Clock, deadlineMs: number): Promise<boolean> {
  for (;;) {
    if (await answers(url)) return true;
    if (!(await isAlive(pid)) || clock.nowMs() > deadlineMs) return false;
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

async function didNotComeUp(folders: ServerFolders): Promise<AtelierError> {
  const log = await readFile(folders.log, 'utf8').catch(() => '');
  const tail = log.trimEnd().split('\n').slice(-logLinesShown).join('\n');
  const full = tail.includes('No space left on device');
  return new AtelierError(
    full ? 'resource_exhausted' : 'unavailable',
    `PostgreSQL in ${folders.data} did not come up; its log (${folders.log}) ends with:\n${tail}`,
  );
}
