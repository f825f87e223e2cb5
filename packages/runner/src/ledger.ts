/**
 * The ledger: the whole desired set of this runner on its own disk, so that it goes on without the plane.
 * Rule: a change is on the disk before it is acted on and before it is acknowledged.
 */
import { AtelierError, softwareVersion } from '@atelier/api';
import {
  DesiredChangeSchema,
  DesiredEnvironmentSchema,
  PlaneWelcomeSchema,
  type DesiredChange,
  type DesiredEnvironment,
  type PlaneWelcome,
} from '@atelier/api/atelier/runner_link';
import { create, fromJson, toJson, type JsonValue } from '@bufbuild/protobuf';
import type { LedgerStorage } from './storage.ts';

/** The version of the document that this build writes; it reads all from 1 on. */
export const ledgerVersion = 1;

/** An environment of the ledger. */
export interface LedgerEntry {
  readonly desired: DesiredEnvironment;
  /** The plane no longer names it and has not forgotten it either: it is kept on its disk and stopped. */
  readonly unnamed: boolean;
}

/** What the ledger holds. */
export interface Ledger {
  /** Why the document that was found could not be used; undefined when all is well. For people. */
  readonly problem: string | undefined;
  /** Revision up to which the desired set is on the disk; 0 asks the plane for the whole set. */
  revision(): bigint;
  /**
   * The revision to go on from with the plane that was heard last; 0 when the set was handed over between other
   * versions of runner and plane than these two, of which one may not have known all of its fields.
   */
  resumeRevision(): bigint;
  /** What the plane said when it was last heard: its id, lease and token key. Undefined before the first time. */
  welcome(): PlaneWelcome | undefined;
  get(environmentId: string): LedgerEntry | undefined;
  /** Ids of all entries. */
  ids(): string[];
  /** Writes down what the plane said about itself. `failed_precondition` for another plane than before. */
  welcomed(welcome: PlaneWelcome): Promise<void>;
  /** Writes a change down and gives the ids that it touches. An older revision changes nothing. */
  apply(change: DesiredChange): Promise<string[]>;
}

interface LedgerState {
  welcome: PlaneWelcome | undefined;
  revision: bigint;
  /** The versions of runner and plane that handed the whole set over; empty before. */
  versions: string;
  entries: Map<string, LedgerEntry>;
}

/**
 * Reads the ledger. A torn document is set aside and named in `problem`; the runner then asks for the whole
 * set and touches nothing until it has it. `failed_precondition`, with the document left where it is, when
 * it belongs to another runner or was written by a newer version.
 */
export async function openLedger(storage: LedgerStorage, runnerId: string): Promise<Ledger> {
  const text = await storage.read();
  let state: LedgerState = { welcome: undefined, revision: 0n, versions: '', entries: new Map() };
  let problem: string | undefined;
  if (text !== undefined) {
    try {
      state = decodeLedger(text, runnerId);
    } catch (error) {
      if (!(error instanceof AtelierError) || error.code !== 'data_loss') throw error;
      const aside = await storage.setAside();
      problem = `${error.message} It is kept as ${aside}; the desired set comes anew from the management plane.`;
    }
  }
  return ledgerOf(storage, runnerId, state, problem);
}

function ledgerOf(
  storage: LedgerStorage,
  runnerId: string,
  initial: LedgerState,
  problem: string | undefined,
): Ledger {
  let state = initial;
  let last: Promise<unknown> = Promise.resolve();
  const change = <T>(decide: (state: LedgerState) => { next: LedgerState; answer: T } | T): Promise<T> => {
    const done = last.then(async () => {
      const decided = decide(state);
      if (typeof decided !== 'object' || decided === null || !('next' in decided)) return decided as T;
      await storage.write(encodeLedger(runnerId, decided.next));
      state = decided.next;
      return decided.answer;
    });
    last = done.catch(() => undefined);
    return done;
  };
  return {
    problem,
    revision: () => state.revision,
    resumeRevision: () => (state.versions === versionsOf(state.welcome) ? state.revision : 0n),
    welcome: () => state.welcome,
    get: (environmentId) => state.entries.get(environmentId),
    ids: () => [...state.entries.keys()],
    welcomed: (welcome) =>
      change<void>((before) => {
        requireSamePlane(before.welcome, welcome);
        return { next: { ...before, welcome }, answer: undefined };
      }),
    apply: (desired) =>
      change<string[]>((before) => {
        if (!desired.whole && desired.revision <= before.revision) return [];
        const { entries, touched } = changedEntries(before.entries, desired);
        const versions = desired.whole ? versionsOf(before.welcome) : before.versions;
        return { next: { ...before, revision: desired.revision, versions, entries }, answer: touched };
      }),
  };
}

function versionsOf(welcome: PlaneWelcome | undefined): string {
  return `${softwareVersion} ${welcome?.softwareVersion ?? ''}`;
}

function requireSamePlane(before: PlaneWelcome | undefined, welcome: PlaneWelcome): void {
  if (before === undefined || before.planeId === welcome.planeId) return;
  throw new AtelierError(
    'failed_precondition',
    `The management plane ${welcome.planeId} answers where ${before.planeId} is expected: this runner's environments belong to the latter. Point the runner at its own plane, or give it another home for the new one.`,
  );
}

function changedEntries(
  before: ReadonlyMap<string, LedgerEntry>,
  change: DesiredChange,
): { entries: Map<string, LedgerEntry>; touched: string[] } {
  const entries = new Map(before);
  const touched = new Set<string>();
  if (change.whole) {
    for (const [id, entry] of before) {
      entries.set(id, { ...entry, unnamed: true });
      touched.add(id);
    }
  }
  for (const desired of change.environments) {
    const id = desired.environment?.id ?? '';
    entries.set(id, { desired, unnamed: false });
    touched.add(id);
  }
  for (const id of change.forgottenIds) {
    entries.delete(id);
    touched.add(id);
  }
  return { entries, touched: [...touched] };
}

/** A change touches one environment of many: what the others are in JSON is remembered. */
const encodedEnvironments = new WeakMap<DesiredEnvironment, JsonValue>();

function encodeEnvironment(desired: DesiredEnvironment): JsonValue {
  const known = encodedEnvironments.get(desired);
  if (known !== undefined) return known;
  const encoded = toJson(DesiredEnvironmentSchema, desired);
  encodedEnvironments.set(desired, encoded);
  return encoded;
}

function encodeLedger(runnerId: string, state: LedgerState): string {
  const head = toJson(DesiredChangeSchema, create(DesiredChangeSchema, { revision: state.revision }));
  const desired = (unnamed: boolean): JsonValue => ({
    ...(head as object),
    environments: [...state.entries.values()]
      .filter((entry) => entry.unnamed === unnamed)
      .map((entry) => encodeEnvironment(entry.desired)),
  });
  const document = {
    version: ledgerVersion,
    runnerId,
    versions: state.versions,
    welcome: state.welcome === undefined ? null : toJson(PlaneWelcomeSchema, state.welcome),
    desired: desired(false),
    unnamed: desired(true),
  };
  return `${JSON.stringify(document, undefined, 1)}\n`;
}

function decodeLedger(text: string, runnerId: string): LedgerState {
  const document = parseDocument(text);
  const version = document['version'];
  if (typeof version !== 'number') throw torn('has no version');
  if (version > ledgerVersion) {
    throw new AtelierError(
      'failed_precondition',
      `The ledger has version ${version} and this build reads up to ${ledgerVersion}: a newer Atelier wrote it. Start that version, or update this one.`,
    );
  }
  if (document['runnerId'] !== runnerId) {
    throw new AtelierError(
      'failed_precondition',
      `The ledger belongs to the runner ${String(document['runnerId'])} and not to ${runnerId}. Start the runner with its own home.`,
    );
  }
  try {
    const welcome = document['welcome'];
    // A newer build may have written fields that this one does not know: it asks for the whole set anyway.
    const leniently = { ignoreUnknownFields: true };
    const named = fromJson(DesiredChangeSchema, document['desired'] ?? {}, leniently);
    const unnamed = fromJson(DesiredChangeSchema, document['unnamed'] ?? {}, leniently);
    const entry = (isUnnamed: boolean) => (desired: DesiredEnvironment) =>
      [desired.environment?.id ?? '', { desired, unnamed: isUnnamed }] as const;
    return {
      welcome: welcome ? fromJson(PlaneWelcomeSchema, welcome, leniently) : undefined,
      revision: named.revision,
      versions: String(document['versions'] ?? ''),
      entries: new Map([...named.environments.map(entry(false)), ...unnamed.environments.map(entry(true))]),
    };
  } catch (error) {
    throw torn(error instanceof Error ? error.message : String(error));
  }
}

function parseDocument(text: string): Record<string, JsonValue> {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw torn('is not whole JSON');
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw torn('is no object');
  return document as Record<string, JsonValue>;
}

function torn(why: string): AtelierError {
  return new AtelierError('data_loss', `The ledger cannot be used: it ${why}.`);
}
