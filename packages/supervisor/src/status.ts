/** The status as a stream: the whole at once, again after each change, a few times per second at most. */
import { sleep, type Clock } from '@atelier/api';
import { Signal } from './output.ts';

/** The shortest time between two messages to one watcher. */
const intervalMs = 200;

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
      while (!signal.aborted) {
        const version = this.#version;
        yield this.#compute();
        await sleep(this.#clock, intervalMs, signal);
        while (version === this.#version && !signal.aborted) await this.#changed.wait(signal);
      }
    } finally {
      this.#watchers -= 1;
    }
  }
}
