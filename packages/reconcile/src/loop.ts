/**
 * The loop that every controller runs in: a queue of keys and one function that makes one pass for a key.
 * A wake-up carries the key and never the event; the pass reads everything anew. That is why a lost, doubled
 * or late wake-up does no harm, and why a restart needs nothing but `wakeAll` with all keys.
 */
import type { Clock, Random, Timer } from '@atelier/api';

/** What one pass came to. */
export type Outcome =
  /** Everything is as wished: no pass until the key is woken. Backoff is forgotten. */
  | { readonly kind: 'settled' }
  /** Nothing is wrong, look again after this time even if nobody wakes the key. Backoff is forgotten. */
  | { readonly kind: 'again'; readonly afterMs: number }
  /** Something is wrong that may go away: look again after the backoff. A thrown error is the same. */
  | { readonly kind: 'retry'; readonly error: unknown }
  /** Something is wrong that does not go away by itself: no pass until the key is woken. */
  | { readonly kind: 'failed'; readonly reason: string };

/** What a loop is made of. */
export interface LoopOptions {
  /** Names the loop in what `onOutcome` writes, such as `environments`. */
  readonly name: string;
  /**
   * Makes one pass for a key. Never called for a key that is in a pass. The signal is aborted by `stop` and
   * `forget`: the pass then ends as soon as it can, its outcome counts for nothing. May throw.
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  readonly clock: Clock;
  readonly random: Random;
  /** How many passes go on at once, over all keys. */
  readonly concurrency: number;
  /** The first pause after `retry`, and the longest: it doubles with each retry in a row. */
  readonly backoff: { readonly initialMs: number; readonly maxMs: number };
  /** Told after each pass, for logs and counters. What it throws is ignored: a log must not stop the loop. */
  readonly onOutcome?: (outcome: PassOutcome) => void;
}

/** What `onOutcome` is told about one pass. */
export interface PassOutcome {
  readonly loop: string;
  readonly key: string;
  readonly outcome: Outcome;
  /** Retries in a row, this one included; 0 after any other outcome. */
  readonly retries: number;
  /** When the key is looked at again by itself, in milliseconds from now; undefined: not before it is woken. */
  readonly nextMs: number | undefined;
}

/** A loop that was made by {@link createLoop}: woken by key, stopped once. */
export interface Loop {
  /** Asks for a pass. Queued once however often it is called; during a pass of the key it means one more after it. */
  wake(key: string): void;
  /** Wakes every key, in this order. */
  wakeAll(keys: Iterable<string>): void;
  /** Drops everything about a key: queue, timer, backoff; a pass that goes on is aborted. */
  forget(key: string): void;
  /** Aborts all passes, waits for their end, and never starts one again. Never rejects. */
  stop(): Promise<void>;
  /** Resolves when nothing is queued and no pass goes on; timers may be waiting. For tests. */
  settled(): Promise<void>;
}

/** What a loop knows about one key. */
interface Entry {
  readonly key: string;
  retries: number;
  queued: boolean;
  wokenAgain: boolean;
  timer: Timer | undefined;
  pass: AbortController | undefined;
}

/**
 * Makes a loop; nothing runs until a key is woken. Keys wait in the order of their wake-ups. What happens
 * after each outcome is said at {@link Outcome}; a wake-up during a pass comes before any timer of its outcome.
 * The pause after the nth retry in a row is `initialMs * 2^(n-1)`, at most `maxMs`, of which the random number
 * takes away up to a half, so that what failed together does not come back together.
 */
export function createLoop(options: LoopOptions): Loop {
  return new KeyLoop(options);
}

class KeyLoop implements Loop {
  readonly #options: LoopOptions;
  readonly #entries = new Map<string, Entry>();
  #queue: Entry[] = [];
  #passes = 0;
  #waiting: Array<() => void> = [];
  #stopped = false;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  wake(key: string): void {
    if (this.#stopped) return;
    const entry = this.#entries.get(key) ?? this.#add(key);
    entry.timer?.cancel();
    entry.timer = undefined;
    if (entry.pass !== undefined) {
      entry.wokenAgain = true;
    } else if (!entry.queued) {
      entry.queued = true;
      this.#queue.push(entry);
      this.#startPasses();
    }
  }

  wakeAll(keys: Iterable<string>): void {
    for (const key of keys) this.wake(key);
  }

  forget(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.timer?.cancel();
    entry.wokenAgain = false;
    this.#queue = this.#queue.filter((each) => each !== entry);
    // A pass that goes on keeps the entry, so that a wake-up cannot start a second one beside it.
    if (entry.pass === undefined) this.#entries.delete(key);
    else entry.pass.abort();
    this.#tellWaiting();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const key of this.#entries.keys()) this.forget(key);
    await this.settled();
  }

  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#tellWaiting();
    });
  }

  #add(key: string): Entry {
    const entry: Entry = {
      key,
      retries: 0,
      queued: false,
      wokenAgain: false,
      timer: undefined,
      pass: undefined,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #startPasses(): void {
    while (this.#passes < this.#options.concurrency) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      this.#passes += 1;
      entry.queued = false;
      entry.pass = new AbortController();
      // Never rejects: #pass turns every throw into an outcome.
      void this.#pass(entry, entry.pass.signal);
    }
  }

  async #pass(entry: Entry, signal: AbortSignal): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = await this.#options.reconcile(entry.key, signal);
    } catch (error) {
      outcome = { kind: 'retry', error };
    }
    this.#passes -= 1;
    entry.pass = undefined;
    if (signal.aborted) this.#afterAbort(entry);
    else this.#afterPass(entry, outcome);
    this.#startPasses();
    this.#tellWaiting();
  }

  #afterAbort(entry: Entry): void {
    this.#entries.delete(entry.key);
    if (entry.wokenAgain) this.wake(entry.key);
  }

  #afterPass(entry: Entry, outcome: Outcome): void {
    entry.retries = outcome.kind === 'retry' ? entry.retries + 1 : 0;
    const wokenAgain = entry.wokenAgain;
    entry.wokenAgain = false;
    const nextMs = wokenAgain ? 0 : this.#pauseMs(outcome, entry.retries);
    this.#report({ loop: this.#options.name, key: entry.key, outcome, retries: entry.retries, nextMs });
    // The listener may have forgotten the key or stopped the loop.
    if (this.#entries.get(entry.key) !== entry) return;
    if (wokenAgain) this.wake(entry.key);
    else if (nextMs !== undefined) {
      entry.timer = this.#options.clock.timer(nextMs, () => this.wake(entry.key));
    } else if (!entry.queued && entry.pass === undefined) {
      this.#entries.delete(entry.key);
    }
  }

  #pauseMs(outcome: Outcome, retries: number): number | undefined {
    if (outcome.kind === 'again') return Math.max(0, outcome.afterMs);
    if (outcome.kind !== 'retry') return undefined;
    const { initialMs, maxMs } = this.#options.backoff;
    const pauseMs = Math.min(maxMs, initialMs * 2 ** Math.min(retries - 1, 30));
    return pauseMs * (1 - this.#options.random() / 2);
  }

  #report(outcome: PassOutcome): void {
    try {
      this.#options.onOutcome?.(outcome);
    } catch {
      // Said at `onOutcome`: whoever listens must not be able to stop the loop.
    }
  }

  #tellWaiting(): void {
    if (this.#passes > 0 || this.#queue.length > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
