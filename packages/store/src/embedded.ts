/**
 * PostgreSQL as a child process of the daemon, for a plane that was given no database. Its binaries come
 * with an npm package, its data lies in the home, only its own user and root reach its socket.
 *
 * PostgreSQL refuses to run as root: then it runs as the system user `atelier-postgres`, which is made when
 * it is missing, and everything it needs is copied to where that user can reach it. A server that a killed
 * daemon left behind is adopted: there is never a second one on the same data. One that ends by itself, or is
 * killed, is started again for as long as it is wanted.
 */
import { readFile, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { AtelierError, sleep, toAtelierError, type Clock, type Timer } from '@atelier/api';
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
  /** Told of a server that ended and was started again, or could not be. */
  readonly report?: (message: string) => void;
}

/** A server that answers. */
export interface EmbeddedPostgres {
  /** Connection string for {@link openPostgresStore}. */
  readonly url: string;
  /** Process id of the server; another one after it was started again. */
  readonly pid: number;
  /** Ends the server cleanly and waits for it. */
  stop(): Promise<void>;
}

const startTimeoutMs = 60_000;
const pollMs = 20;
const lookMs = 500;
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
  const installation = await install(options);
  const url = urlOf(installation.folders);
  const pid = await bringUp(installation, options.clock);
  return new KeptServer(options, installation, url, pid);
}

/** A server that is looked at now and then, and started again when it is gone. */
class KeptServer implements EmbeddedPostgres {
  readonly url: string;
  pid: number;
  readonly #options: EmbeddedPostgresOptions;
  readonly #installation: Installation;
  #timer: Timer | undefined;
  #look: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: EmbeddedPostgresOptions, installation: Installation, url: string, pid: number) {
    this.#options = options;
    this.#installation = installation;
    this.url = url;
    this.pid = pid;
    this.#lookLater();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#look;
    const { folders } = this.#installation;
    await stopServer(this.pid, this.#options.clock);
    if (folders.socketIsApart) await rm(folders.socket, { recursive: true, force: true });
  }

  #lookLater(): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.clock.timer(lookMs, () => {
      this.#look = this.#keepUp().finally(() => this.#lookLater());
    });
  }

  async #keepUp(): Promise<void> {
    const { clock, report } = this.#options;
    if (await isAlive(this.pid)) return;
    try {
      const ended = this.pid;
      this.pid = await bringUp(this.#installation, clock);
      report?.(`PostgreSQL (process ${ended}) ended and was started again (process ${this.pid})`);
    } catch (thrown) {
      report?.(`PostgreSQL ended and does not come up again: ${toAtelierError(thrown).message}`);
    }
  }
}

/** Starts or adopts, and waits until it answers; gives its process id. */
async function bringUp({ binaries, user, folders }: Installation, clock: Clock): Promise<number> {
  const url = urlOf(folders);
  const deadlineMs = clock.nowMs() + startTimeoutMs;
  for (;;) {
    const found = await findServer(folders.data, clock);
    const pid = found ?? (await spawnServer(binaries.postgres, user, folders));
    // Whoever answers is the server: ours, or one that was started in the same moment.
    if (await becomesReady(url, pid, clock, deadlineMs))
      return (await findServer(folders.data, clock)) ?? pid;
    // An adopted server may have been on its way out, and ours gives way to one that holds the data already.
    const another = found !== undefined || (await findServer(folders.data, clock)) !== undefined;
    const error = await didNotComeUp(folders);
    if (clock.nowMs() >= deadlineMs || !(another || isHeldByTheDead(error))) throw error;
    await sleep(clock, pollMs);
  }
}

function urlOf({ socket }: ServerFolders): string {
  return `postgresql://atelier@localhost/postgres?host=${encodeURIComponent(socket)}`;
}

/** Processes that a killed server has made hold its shared memory until they notice. */
function isHeldByTheDead({ message }: AtelierError): boolean {
  return message.includes('pre-existing shared memory block');
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
