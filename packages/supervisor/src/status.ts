/** The status as a stream: the whole at once, again after each change, in the long run a few times per second at most. */
import { sleep, type Clock } from '@atelier/api';
import { Signal } from './output.ts';

/** The time between two messages to one watcher when there is always something to say. */
const intervalMs = 200;
/** So many may follow each other at once: a start says several things, and its user waits for each. */
const burst = 8;

/** Counts changes of a status that is computed when somebody asks. */
export class StatusBoard<Status> {
  readonly #clock: Clock;
  readonly #compute: () => Status;
  readonly #changed = new Signal();
  #version = 0;
  #watchers = 0;

  constructor(clock: Clock, compute: () => Status) {
    this.#clock = clock;
    this.#compute = compute;
  }

  /** Whether anybody watches. */
  get isWatched(): boolean {
    return this.#watchers > 0;
  }

  /** Something that the status says has changed. */
  change(): void {
    this.#version += 1;
    this.#changed.notify();
  }

  /** The status now and after each change, until `signal` is aborted. `onWatch` is called when a watcher begins. */
  async *watch(signal: AbortSignal, onWatch: () => void): AsyncIterable<Status> {
    this.#watchers += 1;
    try {
      onWatch();
      let paidUntilMs = 0;
      while (!signal.aborted) {
        const version = this.#version;
        yield this.#compute();
        const nowMs = this.#clock.nowMs();
        // A clock that was set back must not silence the watcher.
        paidUntilMs = Math.min(Math.max(paidUntilMs, nowMs) + intervalMs, nowMs + burst * intervalMs);
        const waitMs = paidUntilMs - nowMs - (burst - 1) * intervalMs;
        if (waitMs > 0) await sleep(this.#clock, waitMs, signal);
        while (version === this.#version && !signal.aborted) await this.#changed.wait(signal);
      }
    } finally {
      this.#watchers -= 1;
    }
  }
}
