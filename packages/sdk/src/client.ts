/** The client: one connection to a management plane, and everything that can be asked through it. */
import type { Clock, Random } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { createClient as createServiceClient } from '@connectrpc/connect';
import { openAccess, type EnvironmentAccess } from './access.ts';
import type { Caller } from './caller.ts';
import { openConnection } from './connection.ts';
import { createEnvironments, type Environments } from './environments.ts';

/** Where the plane is, and who comes. */
export interface ClientOptions {
  /** Base URL of the plane without a path, such as http://127.0.0.1:4711. */
  readonly url: string;
  /** Bearer token of a user. */
  readonly token: string;
  /** How long calls that may be repeated, watches and processes wait for a plane that is away. */
  readonly patienceMs?: number;
  /** The machine's own unless given. */
  readonly clock?: Clock;
  /** The machine's own unless given. */
  readonly random?: Random;
}

/** A client of one plane. Every error that it raises is an AtelierError. */
export interface AtelierClient extends Caller {
  readonly url: string;
  readonly random: Random;
  readonly environments: Environments;
  /** The way into an environment: the same object for the same id. */
  access(environmentId: string): EnvironmentAccess;
  /** Ends all connections; calls under way fail with `canceled` or `unavailable`. */
  close(): void;
}

const patienceMsDefault = 15_000;

/** Makes a client. Nothing is sent before the first call. */
export function createClient(options: ClientOptions): AtelierClient {
  const { url, token, clock = systemClock, random = systemRandom } = options;
  const { patienceMs = patienceMsDefault } = options;
  const connection = openConnection({
    baseUrl: `${url.replace(/\/+$/, '')}/api`,
    token: () => token,
    clock,
    patienceMs,
  });
  const accesses = new Map<string, EnvironmentAccess>();
  const client: AtelierClient = {
    url,
    clock,
    random,
    patienceMs,
    service: (definition) => createServiceClient(definition, connection.transport),
    get environments() {
      return environments;
    },
    access(environmentId) {
      let access = accesses.get(environmentId);
      if (!access) {
        access = openAccess(client, environmentId);
        accesses.set(environmentId, access);
      }
      return access;
    },
    close() {
      for (const access of accesses.values()) access.close();
      connection.close();
    },
  };
  const environments = createEnvironments(client);
  return client;
}
