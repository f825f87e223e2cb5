/**
 * Changes of the store, read once and handed to every watcher. A watcher that is slow holds one entry per
 * resource: the latest change wins, as everywhere.
 */
import type { Change, ChangeScope, Store } from '@atelier/store';
import type { PlaneContext } from './context.ts';

/** A watcher of the feed. */
export interface ChangeWatcher {
  /**
   * Waits for changes and takes them all, oldest first. Undefined after `close`, when the feed has stopped, and
   * when changes were lost: then whoever wants more begins again, with a new watcher and everything read anew.
   */
  next(): Promise<Change[] | undefined>;
  close(): void;
}

/** Ends a watcher when the call that it is for ends, or has ended. */
export function closeWith(watcher: ChangeWatcher, signal: AbortSignal): void {
  if (signal.aborted) watcher.close();
  else signal.addEventListener('abort', () => watcher.close(), { once: true });
}

/** The feed of one plane. */
export interface ChangeFeed {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** From now on: whoever needs what was before reads the store after this call. */
  watch(scope: ChangeScope): ChangeWatcher;
}

const retryMs = 1000;

/** Makes the feed; nothing is read until `start`. */
export function createChangeFeed({
  store,
  clock,
  log,
}: Pick<PlaneContext, 'store' | 'clock' | 'log'>): ChangeFeed {
  const watchers = new Set<Watcher>();
  let cursor = 0n;
  let reading = false;
  let again = false;
  let stopped = false;
  let subscription: { close(): Promise<void> } | undefined;

  async function read(): Promise<void> {
    again = true;
    if (reading || stopped) return;
    reading = true;
    try {
      while (again) again = await readOnce(store);
    } catch (error) {
      log('changes could not be read; trying again', { error: String(error) });
      clock.timer(retryMs, () => void read());
    } finally {
      reading = false;
    }
  }

  /** Everything new; true when there was a wake-up meanwhile, and somebody still wants to know. */
  async function readOnce(from: Store): Promise<boolean> {
    again = false;
    const batch = await from.changesSince(cursor, {});
    cursor = batch.revision;
    if (batch.resync) for (const watcher of watchers) watcher.close();
    for (const change of batch.changes) for (const watcher of watchers) watcher.offer(change);
    return again && !stopped;
  }

  return {
    async start() {
      cursor = await store.revision();
      subscription = await store.subscribe(() => void read());
      await read();
    },
    async stop() {
      stopped = true;
      await subscription?.close();
      subscription = undefined;
      for (const watcher of watchers) watcher.close();
    },
    watch(scope) {
      const watcher = new Watcher(scope, () => watchers.delete(watcher));
      if (stopped) watcher.close();
      else watchers.add(watcher);
      return watcher;
    },
  };
}

class Watcher implements ChangeWatcher {
  readonly #scope: ChangeScope;
  readonly #onClose: () => void;
  #waiting = new Map<string, Change>();
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(scope: ChangeScope, onClose: () => void) {
    this.#scope = scope;
    this.#onClose = onClose;
  }

  offer(change: Change): void {
    if (!inScope(change, this.#scope)) return;
    const { kind, id } = change.type === 'row' ? change.row : change;
    const key = `${kind}/${id}`;
    this.#waiting.delete(key);
    this.#waiting.set(key, change);
    this.#wake?.();
  }

  async next(): Promise<Change[] | undefined> {
    while (this.#waiting.size === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#closed) return undefined;
    const changes = [...this.#waiting.values()];
    this.#waiting = new Map();
    return changes;
  }

  close(): void {
    this.#closed = true;
    this.#onClose();
    this.#wake?.();
  }
}

/** Whether a watcher with this scope wants to hear of the change. */
function inScope(change: Change, scope: ChangeScope): boolean {
  const facts = change.type === 'row' ? change.row : change;
  if (scope.organizationId !== undefined && facts.organizationId !== scope.organizationId) return false;
  if (scope.kinds !== undefined && !scope.kinds.includes(facts.kind)) return false;
  if (scope.environmentId === undefined) return true;
  return facts.environmentId === scope.environmentId || facts.id === scope.environmentId;
}
