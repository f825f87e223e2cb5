/** The rows of a plane in memory, with the ways to them that a database has as indexes. */
import type { Kind, KindValue } from '@atelier/store';

/** A row, or the tombstone of one: then `value` is undefined. */
export interface MemoryRecord {
  readonly kind: Kind;
  readonly id: string;
  readonly organizationId: string;
  readonly environmentId: string;
  revision: bigint;
  readonly createdRevision: bigint;
  contentRevision: bigint;
  name: { readonly owner: string; readonly text: string } | undefined;
  readonly idempotencyKey: string | undefined;
  attributes: Record<string, string>;
  value: KindValue<Kind> | undefined;
}

interface Touched {
  readonly revision: bigint;
  readonly record: MemoryRecord;
}

/** The touches of a record that is changed often are kept up to this many times the number of records. */
const touchesPerRecordMax = 4;

/** They outlive the store objects that look at them, as a database does. */
export class MemoryDatabase {
  readonly subscribers = new Set<() => void>();
  revision = 0n;
  prunedRevision = 0n;
  readonly #kinds = new Map<Kind, Map<string, MemoryRecord>>();
  readonly #owned = new Map<string, Set<MemoryRecord>>();
  /** Every change in the order of revisions; of the several of one record the last one counts. */
  #touched: Touched[] = [];
  #count = 0;

  /** The record or tombstone of this kind and id. */
  get(kind: Kind, id: string): MemoryRecord | undefined {
    return this.#kinds.get(kind)?.get(id);
  }

  /** Records and tombstones of a kind, oldest first. */
  ofKind(kind: Kind): Iterable<MemoryRecord> {
    return this.#kinds.get(kind)?.values() ?? [];
  }

  /** Records and tombstones that belong to an environment. */
  ownedBy(environmentId: string): Iterable<MemoryRecord> {
    return this.#owned.get(environmentId) ?? [];
  }

  /** Records of a kind; where environments are named, only theirs. */
  *candidates(kind: Kind, environmentIds: readonly string[] | undefined): Iterable<MemoryRecord> {
    if (!environmentIds?.length) return yield* this.ofKind(kind);
    for (const id of new Set(environmentIds)) {
      for (const record of this.ownedBy(id)) if (record.kind === kind) yield record;
    }
  }

  /** Takes a record in at its revision, which is the next one. */
  add(record: MemoryRecord): void {
    const ofKind = this.#kinds.get(record.kind) ?? new Map<string, MemoryRecord>();
    this.#kinds.set(record.kind, ofKind.set(record.id, record));
    const owned = this.#owned.get(record.environmentId) ?? new Set();
    this.#owned.set(record.environmentId, owned.add(record));
    this.#count += 1;
    this.touch(record);
  }

  /** Gives a record the next revision. */
  touch(record: MemoryRecord): void {
    this.revision += 1n;
    record.revision = this.revision;
    this.#touched.push({ revision: this.revision, record });
    if (this.#touched.length > touchesPerRecordMax * this.#count)
      this.#touched = this.#touched.filter(isLast);
  }

  /** Records and tombstones whose revision is above the cursor, by revision. */
  changedSince(cursor: bigint): MemoryRecord[] {
    const found: MemoryRecord[] = [];
    for (let index = this.#touched.length - 1; index >= 0; index -= 1) {
      const touched = this.#touched[index] as Touched;
      if (touched.revision <= cursor) break;
      if (isLast(touched)) found.push(touched.record);
    }
    return found.reverse();
  }

  /** Forgets tombstones up to a revision. */
  prune(revision: bigint): void {
    for (const ofKind of this.#kinds.values()) {
      for (const record of ofKind.values()) {
        if (record.value !== undefined || record.revision > revision) continue;
        ofKind.delete(record.id);
        this.#owned.get(record.environmentId)?.delete(record);
        this.#count -= 1;
        if (record.revision > this.prunedRevision) this.prunedRevision = record.revision;
      }
    }
    this.#touched = this.#touched.filter(({ record }) => this.get(record.kind, record.id) === record);
  }
}

function isLast({ revision, record }: Touched): boolean {
  return record.revision === revision;
}
