/** What a daemon says of itself in its home, for every command that comes after it. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Half, Home } from './home.ts';
import type { DaemonOptions } from './message.ts';
import { isAlive, type ProcessIdentity } from './processes.ts';

/** A daemon as it wrote itself down when it had come up. */
export interface DaemonRecord extends ProcessIdentity {
  readonly version: string;
  /** Base URL of the plane without `/api`; empty for a runner alone. */
  readonly url: string;
  /** File with the user's bearer token; empty for a runner alone. */
  readonly tokenFile: string;
  /** File with the local runner's token; empty for a runner alone. */
  readonly runnerTokenFile: string;
  /** Base URL of the runner's gateway; empty for a plane alone. */
  readonly gatewayUrl: string;
  readonly startedAtMs: number;
  /** How it was started, so that the next start, whoever needs it, is like this one. */
  readonly options: DaemonOptions;
}

/**
 * The record of the daemon that has a half, whether it still runs or not; undefined when there never was one,
 * or it was damaged. A daemon that runs writes a damaged one anew when it is asked to.
 */
export function readRecord(home: Home, half: Half): DaemonRecord | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(home.recordFile(half), 'utf8'));
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

const textFields = ['startTime', 'version', 'url', 'tokenFile', 'runnerTokenFile', 'gatewayUrl'] as const;

function isRecord(value: unknown): value is DaemonRecord {
  const record = value as Partial<DaemonRecord> | null;
  return (
    typeof record?.pid === 'number' &&
    textFields.every((field) => typeof record[field] === 'string') &&
    Array.isArray(record.options?.halves)
  );
}

/**
 * How a daemon of this home was started the last time, whichever half it had: each start carries the settings of
 * the one before on. Undefined when there never was one.
 */
export function lastOptions(home: Home): DaemonOptions | undefined {
  const records = (['plane', 'runner'] as const).flatMap((half) => readRecord(home, half) ?? []);
  return records.sort((one, other) => other.startedAtMs - one.startedAtMs)[0]?.options;
}

/** The record of a daemon that runs; undefined when none does. */
export function runningDaemon(home: Home, half: Half): DaemonRecord | undefined {
  const record = readRecord(home, half);
  if (record && isAlive(record)) return record;
  if (half === 'plane') return undefined;
  const whole = runningDaemon(home, 'plane');
  return whole?.options.halves.includes('runner') ? whole : undefined;
}

/** Writes a record whole; readers see the one before or this one. */
export function writeRecord(home: Home, record: DaemonRecord): void {
  const path = home.recordFile(record.options.halves.includes('plane') ? 'plane' : 'runner');
  const temporary = `${path}.${record.pid}`;
  writeFileSync(temporary, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}
