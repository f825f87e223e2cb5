/** Wiring: a plane on PostgreSQL, embedded or external, behind a port. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openPostgresStore, startEmbeddedPostgres, type EmbeddedPostgres } from '@atelier/store';
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

/** Starts the plane. Errors: `failed_precondition` for a home, port or database that cannot be used. */
export async function startPlane(options: PlaneOptions): Promise<RunningPlane> {
  const host = options.host ?? '127.0.0.1';
  await mkdir(options.home, { recursive: true, mode: 0o755 });
  let database: EmbeddedPostgres | undefined;
  if (options.databaseUrl === undefined) {
    const folder = join(options.home, 'postgres');
    database = await startEmbeddedPostgres({ folder, clock: systemClock, cacheFolder: cacheFolder() });
  }
  const store = await openPostgresStore({
    url: options.databaseUrl ?? database?.url ?? '',
    clock: systemClock,
  });
  const identity = await planeIdentity(store, systemClock, systemRandom);
  const plane = createPlane({ store, clock: systemClock, random: systemRandom, log: writeLog, ...identity });
  const tokenFile = join(options.home, 'token');
  const runnerTokenFile = join(options.home, 'runner-token');
  await bootstrap(plane.context, plane.tokens, {
    tokenFile,
    runnerTokenFile,
    memoryBytes: machineMemoryBytes(),
  });
  await plane.start();
  const listener = await servePlane(plane, { host, port: options.port ?? 0 });
  return {
    url: `http://${host}:${listener.port}`,
    tokenFile,
    runnerTokenFile,
    async stop() {
      await listener.close();
      await plane.stop();
      await store.close();
      await database?.stop();
    },
  };
}
