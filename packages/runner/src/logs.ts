/**
 * Logs as the runner uses them: names are checked before they become a part of a path, writers of one log
 * take turns, and readers follow.
 */
import { AtelierError, isId, sleep, type Clock } from '@atelier/api';
import type { LogStorage } from './log-storage.ts';

/** The logs of all environments of this runner. */
export interface Logs {
  /** Bytes that are there. */
  length(environmentId: string, name: string): Promise<number>;
  /**
   * Adds what the supervisor sent from `offset` on; what is already there is skipped. `invalid_argument` for
   * a name that cannot be a log's, `resource_exhausted` for one log too many.
   */
  append(environmentId: string, name: string, offset: number, data: Uint8Array): Promise<void>;
  /** Adds a line to a log that the runner writes itself. */
  line(environmentId: string, name: string, text: string): Promise<void>;
  names(environmentId: string): Promise<string[]>;
  /** The bytes from `offset` on; while `isLive` says so, it waits for more. */
  follow(
    environmentId: string,
    name: string,
    offset: number,
    isLive: () => boolean,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  remove(environmentId: string): Promise<void>;
}

/** How many logs one environment may have: a bound on what the inside can make the runner create. */
export const logsPerEnvironmentMax = 2000;

const partBytesMax = 64 * 1024;
const pollMs = 250;
const reference = /^[A-Za-z0-9_-]{1,128}$/;

/** Whether a text is the name of a log: `lifecycle/<name>`, `task/<id>/<id>`, `service/<id>`, `step/<name>`. */
export function isLogName(name: string): boolean {
  const [kind, first = '', second, ...more] = name.split('/');
  if (more.length > 0) return false;
  if (kind === 'lifecycle' || kind === 'step') return second === undefined && reference.test(first);
  if (kind === 'service') return second === undefined && isId(first);
  return kind === 'task' && isId(first) && second !== undefined && reference.test(second);
}

/** Logs over a storage; `clock` paces readers that follow. */
export function createLogs(storage: LogStorage, clock: Clock): Logs {
  const turns = new Map<string, Promise<unknown>>();
  const inTurn = <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const done = (turns.get(key) ?? Promise.resolve()).then(work);
    const settled = done
      .catch(() => undefined)
      .finally(() => {
        if (turns.get(key) === settled) turns.delete(key);
      });
    turns.set(key, settled);
    return done;
  };
  const appendAt = (
    environmentId: string,
    name: string,
    data: Uint8Array,
    place: (length: number) => number,
  ): Promise<void> =>
    inTurn(`${environmentId}/${name}`, async () => {
      requireLogName(name);
      const length = await storage.length(environmentId, name);
      if (length === 0) await requireRoom(storage, environmentId);
      const offset = place(length);
      const fresh = data.subarray(Math.max(0, length - offset));
      if (fresh.length > 0) await storage.append(environmentId, name, Math.max(offset, length), fresh);
    });
  return {
    length: (environmentId, name) => storage.length(environmentId, requireLogName(name)),
    append: (environmentId, name, offset, data) => appendAt(environmentId, name, data, () => offset),
    line: (environmentId, name, text) =>
      appendAt(environmentId, name, new TextEncoder().encode(`${text}\n`), (length) => length),
    names: async (environmentId) => (await storage.names(environmentId)).filter(isLogName),
    follow: (environmentId, name, offset, isLive, signal) =>
      follow({ storage, clock, environmentId, name: requireLogName(name), isLive, signal }, offset),
    remove: (environmentId) => storage.remove(environmentId),
  };
}

interface Reader {
  readonly storage: LogStorage;
  readonly clock: Clock;
  readonly environmentId: string;
  readonly name: string;
  readonly isLive: () => boolean;
  readonly signal: AbortSignal;
}

async function* follow(reader: Reader, from: number): AsyncGenerator<Uint8Array> {
  let offset = from;
  // The writer may have ended before its last bytes have arrived: one more look after it did.
  let wasLive = true;
  while (!reader.signal.aborted) {
    const part = await reader.storage.read(reader.environmentId, reader.name, offset, partBytesMax);
    if (part.data.length > 0) {
      yield part.data;
      offset = part.offset + part.data.length;
      continue;
    }
    if (!wasLive) return;
    wasLive = reader.isLive();
    await sleep(reader.clock, pollMs, reader.signal);
  }
}

function requireLogName(name: string): string {
  if (isLogName(name)) return name;
  throw new AtelierError(
    'invalid_argument',
    `${JSON.stringify(name.slice(0, 200))} is no name of a log. Names are lifecycle/<command>, task/<execution>/<step>, service/<id> and step/<step>.`,
  );
}

async function requireRoom(storage: LogStorage, environmentId: string): Promise<void> {
  if ((await storage.names(environmentId)).length < logsPerEnvironmentMax) return;
  throw new AtelierError(
    'resource_exhausted',
    `Environment ${environmentId} has ${logsPerEnvironmentMax} logs, which is the most it may have.`,
  );
}
