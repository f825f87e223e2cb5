/** The timers of one instance: they end with it. */
import type { Clock, Timer } from '@atelier/api';

/** Timers over the machine's clock that can be ended together. */
export class InstanceTimers {
  readonly #clock: Clock;
  readonly #onFire: () => void;
  readonly #waiting = new Set<Timer>();
  #ended = false;

  /** `onFire` is called after each call. */
  constructor(clock: Clock, onFire: () => void = () => {}) {
    this.#clock = clock;
    this.#onFire = onFire;
  }

  /** Calls `fire` after `afterMs`, for 0 as soon as the caller is through. Gives what takes the call back. */
  after(afterMs: number, fire: () => void): () => void {
    let taken = false;
    const run = (): void => {
      if (taken || this.#ended) return;
      fire();
      this.#onFire();
    };
    if (afterMs <= 0) {
      queueMicrotask(run);
    } else {
      const timer = this.#clock.timer(afterMs, () => {
        this.#waiting.delete(timer);
        run();
      });
      this.#waiting.add(timer);
    }
    return () => {
      taken = true;
    };
  }

  /** Takes all calls back, those to come as well. */
  cancelAll(): void {
    this.#ended = true;
    for (const timer of this.#waiting) timer.cancel();
    this.#waiting.clear();
  }
}
