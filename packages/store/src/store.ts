/**
 * The store: desired and observed state of everything that the management plane knows. Manual.
 *
 * A *row* is one resource: a value of its kind with an id, an organization and, for what belongs to an
 * environment, that environment's id. Every write gives the row a new *revision*, a number that grows over
 * all rows of all kinds. Revisions become visible in their order: whoever has read everything up to N will
 * never find a row at or below N that it has not seen. That makes a revision a cursor for watching and
 * resuming.
 *
 * A write is whole or not at all, on disk when its promise resolves, and read by everybody afterwards.
 * `update` reads, changes and writes under one lock: two updates of a row never lose one another. A change
 * function may run again when the transaction has to; it must do nothing but compute.
 *
 * A deleted row leaves a tombstone for watchers. Tombstones are dropped by `prune`; a cursor older than the
 * newest dropped one is answered with `resync`: read everything again.
 *
 * Errors: `not_found` (update of a row that is not there), `already_exists` (id, or name for its owner),
 * `failed_precondition` (the idempotency key's row was deleted), `aborted` (the expected revision is not the
 * present one), `unavailable` (no connection; the write may have happened), `invalid_argument` (a page token
 * that this store did not make, text with a zero character), `resource_exhausted` (the disk is full).
 */
import type { Kind, KindValue } from './kinds.ts';

/** One resource as stored. */
export interface Row<K extends Kind = Kind> {
  readonly kind: K;
  readonly id: string;
  readonly organizationId: string;
  /** The environment that the row belongs to; empty when to none. */
  readonly environmentId: string;
  readonly revision: bigint;
  /** Revision of its creation: above a cursor means that the watcher does not know the row yet. */
  readonly createdRevision: bigint;
  /** Revision of the last change to anything but its status. */
  readonly contentRevision: bigint;
  readonly value: KindValue<K>;
}

/** What is given to make a row. */
export interface NewRow<K extends Kind> {
  readonly id: string;
  readonly organizationId: string;
  readonly environmentId?: string;
  /** Refused with `already_exists` while another row of this kind, organization and owner has the same name. */
  readonly name?: { readonly owner: string; readonly text: string } | undefined;
  /**
   * A second create with the same key (per organization and kind) returns the first one's row, whatever it asks
   * for; after that row's deletion it is refused with `failed_precondition`, until the tombstone is pruned.
   */
  readonly idempotencyKey?: string | undefined;
  readonly value: KindValue<K>;
}

/** How an update is made. */
export interface UpdateOptions {
  /** The row must still have this revision; `aborted` otherwise. */
  readonly expectedRevision?: bigint;
  /** Only the status changes: watchers are told so. */
  readonly statusOnly?: boolean;
  /** A new name, with the rule of {@link NewRow.name}. */
  readonly name?: { readonly owner: string; readonly text: string } | undefined;
}

/** Which rows a list holds, in which order. All conditions must hold; an empty list of values means: any. */
export interface Query {
  readonly organizationId?: string;
  readonly environmentIds?: readonly string[];
  readonly ids?: readonly string[];
  /** Conditions on the attributes of the kind (see kinds.ts): the attribute is one of the values. */
  readonly attributes?: Readonly<Record<string, readonly string[]>>;
  /** Text that occurs, without regard to case, in the id or in one of the searched attributes of the kind. */
  readonly search?: string;
  /** Only rows that were created before: ids are UUIDv7, so this compares ids. */
  readonly createdBeforeMs?: number;
  /** `id` is the order of creation. */
  readonly sort?: { readonly by: string; readonly order: 'ascending' | 'descending' };
  /** 1 to 100 rows; the default is 25. */
  readonly pageSize?: number;
  /** From a page before, with the same query. */
  readonly pageToken?: string;
  readonly count?: boolean;
}

/** One page of a list. Over all pages, a row that exists all the time is in it exactly once. */
export interface Page<K extends Kind> {
  readonly rows: Row<K>[];
  /** Empty on the last page. */
  readonly nextToken: string;
  /** Rows that match in all, when it was asked for. */
  readonly total?: number;
}

/** One change since a cursor: the row as it is now, or that it is gone. */
export type Change =
  | { readonly type: 'row'; readonly row: Row }
  | {
      readonly type: 'deleted';
      readonly kind: Kind;
      readonly id: string;
      readonly organizationId: string;
      readonly environmentId: string;
      readonly revision: bigint;
    };

/** All changes since a cursor, as of one moment, oldest first; a row that changed twice is there once. */
export interface Changes {
  /** The cursor is too old: tombstones after it are gone. `changes` is empty then. */
  readonly resync: boolean;
  readonly changes: Change[];
  /** The next cursor: everything up to here has been told. */
  readonly revision: bigint;
}

/** Which changes are wanted. */
export interface ChangeScope {
  readonly organizationId?: string;
  readonly environmentId?: string;
  readonly kinds?: readonly Kind[];
}

/** The store of one management plane, shared by its replicas. */
export interface Store {
  create<K extends Kind>(kind: K, row: NewRow<K>): Promise<Row<K>>;
  get<K extends Kind>(kind: K, id: string): Promise<Row<K> | undefined>;
  list<K extends Kind>(kind: K, query: Query): Promise<Page<K>>;
  /**
   * Changes a row. `change` gets a copy that it may alter and return; undefined means: leave the row and its
   * revision as they are.
   */
  update<K extends Kind>(
    kind: K,
    id: string,
    change: (value: KindValue<K>) => KindValue<K> | undefined,
    options?: UpdateOptions,
  ): Promise<Row<K>>;
  /** Deletes a row and, for an environment, every row that belongs to it. False when it was not there. */
  delete(kind: Kind, id: string): Promise<boolean>;
  changesSince(cursor: bigint, scope: ChangeScope): Promise<Changes>;
  /** The newest revision that is visible. */
  revision(): Promise<bigint>;
  /** Calls `wake` soon after each write, of whichever replica, and once after a lost connection came back. */
  subscribe(wake: () => void): Promise<{ close(): Promise<void> }>;
  /** Drops tombstones up to this revision; `changesSince` from before the newest dropped one says resync. */
  prune(revision: bigint): Promise<void>;
  close(): Promise<void>;
}
