/** Wiring: a plane on PostgreSQL, embedded or external, behind a port. */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { openPostgresStore, startEmbeddedPostgres } from '@atelier/store';
import { servePlane } from './http/server.ts';
import { bootstrap, planeIdentity } from './identity/bootstrap.ts';
import { createPlane } from './plane.ts';
import { cacheFolder, machineMemoryBytes, systemClock, systemRandom, writeLog } from './system.ts';

/** How a plane is started. */
export interface PlaneOptions {
  /** Folder of all state; made when missing. */
  readonly home: string;
  /** Loopback by default. */
  readonly host?: string;
  /** 0, the default, takes any free port. */
  readonly port?: number;
  /** An external PostgreSQL; without it one is started below the home. */
  readonly databaseUrl?: string | undefined;
}

/** A plane that answers. */
export interface RunningPlane {
  /** Base URL without `/api`. */
  readonly url: string;
  /** Holds the user's bearer token; only its owner can read it. */
  readonly tokenFile: string;
  /** Holds the local runner's token. */
  readonly runnerTokenFile: string;
  /** Ends port, loops, store, and the embedded database. Environments run on. */
  stop(): Promise<void>;
}

/**
 * Starts the plane. Errors: `failed_precondition` for a home, port or database that cannot be used; whatever was
 * started until then is stopped again.
 */
export async function startPlane(options: PlaneOptions): Promise<RunningPlane> {
  const started: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (let end = started.pop(); end; end = started.pop()) await end();
  };
  try {
    return { ...(await start(options, started)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Adds to `started` what ends each part; the parts end in the opposite order. */
async function start(
  options: PlaneOptions,
  started: (() => Promise<void>)[],
): Promise<Omit<RunningPlane, 'stop'>> {
  const { home, host = '127.0.0.1', port = 0 } = options;
  await makeHome(home);
  let url = options.databaseUrl;
  if (url === undefined) {
    const folder = join(home, 'postgres');
    const database = await startEmbeddedPostgres({
      folder,
      clock: systemClock,
      cacheFolder: cacheFolder(),
      report: (message) => writeLog(message),
    });
    started.push(() => database.stop());
    url = database.url;
  }
  const store = await openPostgresStore({ url, clock: systemClock });
  started.push(() => store.close());
  const identity = await planeIdentity(store, systemClock, systemRandom);
  const plane = createPlane({ store, clock: systemClock, random: systemRandom, log: writeLog, ...identity });
  const tokenFile = join(home, 'token');
  const runnerTokenFile = join(home, 'runner-token');
  const memoryBytes = machineMemoryBytes();
  await bootstrap(plane.context, plane.tokens, { tokenFile, runnerTokenFile, memoryBytes });
  started.push(() => plane.stop());
  await plane.start();
  const listener = await servePlane(plane, { host, port });
  started.push(async () => {
    // Streams end by themselves when the plane has stopped, so that the port closes without cutting anything.
    await plane.stop();
    await listener.close();
  });
  return { url: listener.url, tokenFile, runnerTokenFile };
}

/** A home that is made here can be passed by everybody, whatever the umask: the database's user has to. */
async function makeHome(home: string): Promise<void> {
  try {
    if ((await mkdir(home, { recursive: true })) !== undefined) await chmod(home, 0o755);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AtelierError(
      'failed_precondition',
      `the home ${home} cannot be made (${reason}); choose another ATELIER_HOME`,
      { cause },
    );
  }
}
