/**
 * The record of one environment as a document. A record that cannot be read is never replaced: with it
 * gone, a workspace that is full would look like an empty one.
 */
import { AtelierError } from '@atelier/api';
import { emptyRecord, type EnvironmentRecord } from '@atelier/reconcile';
import type { StepTiming } from './running-steps.ts';
import type { RecordStorage } from './storage.ts';

const recordVersion = 1;

interface Document {
  readonly version?: unknown;
  readonly record?: EnvironmentRecord;
  readonly timings?: readonly StepTiming[];
}

/** A record, and beside it how the steps of the last start went: for people, no plan reads it. */
export interface StoredRecord {
  readonly record: EnvironmentRecord;
  readonly timings: readonly StepTiming[];
}

/**
 * Reads a record; undefined when there is none. `data_loss` when it is torn, `failed_precondition` when a
 * newer version wrote it; it stays where it is in both cases.
 */
export async function readRecord(
  storage: RecordStorage,
  environmentId: string,
): Promise<StoredRecord | undefined> {
  const text = await storage.read(environmentId, 'state');
  if (text === undefined) return undefined;
  const document = parse(text) as Document | undefined;
  const record = document?.record;
  if (typeof document?.version === 'number' && document.version > recordVersion) {
    throw new AtelierError(
      'failed_precondition',
      `The record of environment ${environmentId} has version ${document.version} and this build reads up to ${recordVersion}. Start the newer Atelier that wrote it, or update this one.`,
    );
  }
  if (
    typeof record?.generation !== 'number' ||
    typeof record.goalSinceMs !== 'number' ||
    typeof record.failures !== 'object'
  ) {
    throw new AtelierError(
      'data_loss',
      `The record of environment ${environmentId} (state.json) is torn. The environment is left as it is: put the file back from a copy, or delete the environment.`,
    );
  }
  return { record: { ...emptyRecord(record.goalSinceMs), ...record }, timings: document?.timings ?? [] };
}

/** Writes a record; returns when it is on the disk. */
export async function writeRecord(
  storage: RecordStorage,
  environmentId: string,
  stored: StoredRecord,
): Promise<void> {
  const text = JSON.stringify({ version: recordVersion, ...stored }, undefined, 1);
  await storage.write(environmentId, 'state', `${text}\n`);
}

/** Whether two records say the same: an equal one is not written again. */
export function sameRecord(left: EnvironmentRecord, right: EnvironmentRecord): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
