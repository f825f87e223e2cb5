/**
 * A process that can be killed at any moment. Its code reaches the world through the gates that are made
 * here only; after the kill nothing passes them any more, in neither direction, so that what is left of the
 * code sees neither time nor answers and changes nothing.
 */
import { sleep, type Clock, type Timer } from '@atelier/api';
import type { SimulatedClock } from './clock.ts';

/** When a process dies: at which of its next calls, and whether that call still has its effect. */
export interface PlannedDeath {
  readonly afterCalls: number;
  readonly effect: boolean;
}

/** One run of a simulated process. */
export class SimulatedProcess {
  #alive = true;
  #pausedUntilMs = 0;
  #death: { callsLeft: number; readonly effect: boolean } | undefined;
  readonly #clock: SimulatedClock;
  readonly #onKill = new Set<() => void>();

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  /** Whether it has not been killed. */
  get alive(): boolean {
    return this.#alive;
  }

  /** Kills the process; a second call does nothing. */
  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const done of this.#onKill) done();
  }

  /** Lets the process die in the middle of what it does. */
  killDuring({ afterCalls, effect }: PlannedDeath): void {
    this.#death = { callsLeft: afterCalls, effect };
  }

  /** Calls back when the process is killed: for what the kernel does then. Gives what takes that back. */
  onKill(done: () => void): () => void {
    this.#onKill.add(done);
    return () => void this.#onKill.delete(done);
  }

  /** Whether it was stopped and has not gone on yet. */
  get paused(): boolean {
    return this.#clock.awakeMs() < this.#pausedUntilMs;
  }

  /** Stops the process for a while: nothing reaches it and nothing that it does has an effect. */
  pause(ms: number): void {
    this.#pausedUntilMs = this.#clock.awakeMs() + ms;
  }

  /** Resolves when the process is not paused. */
  async running(): Promise<void> {
    while (this.paused) await sleep(this.#clock, this.#pausedUntilMs - this.#clock.awakeMs());
  }

  /** The clock as this process sees it, wrong by `errorMs`: its timers end with it, and wait while it is paused. */
  clock(errorMs: () => number = () => 0): Clock {
    return {
      nowMs: () => this.#clock.nowMs() + errorMs(),
      timer: (afterMs, fire) => this.#timer(afterMs, fire),
    };
  }

  #timer(afterMs: number, fire: () => void): Timer {
    let cancelled = false;
    const due = (): void => {
      if (!this.#alive || cancelled) return;
      if (this.paused) this.#clock.timer(this.#pausedUntilMs - this.#clock.awakeMs(), due);
      else fire();
    };
    const timer = this.#clock.timer(afterMs, due);
    return {
      cancel() {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  /**
   * An interface of asynchronous methods as this process sees it, one level of plain objects included: calls
   * take `latencyMs` and work while it is alive; answers that come later never arrive.
   */
  gate<Interface extends object>(target: Interface, latencyMs: () => number): Interface {
    return new Proxy(target, {
      get: (object, key) => {
        const value: unknown = Reflect.get(object, key);
        if (typeof value === 'function') {
          return (...given: unknown[]) =>
            this.#call(
              () =>
                value.apply(
                  object,
                  given.map((each) => this.#callback(each)),
                ) as unknown,
              latencyMs(),
            );
        }
        return typeof value === 'object' && value !== null && isPlain(value)
          ? this.gate(value, latencyMs)
          : value;
      },
    });
  }

  async #call(effect: () => unknown, latencyMs: number): Promise<unknown> {
    if (latencyMs > 0) await sleep(this.#clock, latencyMs);
    if (this.paused) await this.running();
    const dies = this.#dies();
    if (dies && this.#death?.effect !== true) this.kill();
    if (!this.#alive) return never;
    const answer = Promise.resolve(effect());
    if (dies) this.kill();
    try {
      const value = await answer;
      if (this.paused) await this.running();
      return this.#alive ? value : never;
    } catch (error) {
      if (this.#alive) throw error;
      return never;
    }
  }

  #dies(): boolean {
    if (this.#death === undefined) return false;
    this.#death.callsLeft -= 1;
    return this.#death.callsLeft <= 0;
  }

  #callback(given: unknown): unknown {
    if (typeof given !== 'function') return given;
    return (...all: unknown[]): unknown => (this.#alive ? (given(...all) as unknown) : undefined);
  }
}

const never = new Promise<never>(() => {});

// Messages and class instances with private fields must not be wrapped: they are values, not doors.
function isPlain(value: object): boolean {
  return Object.getPrototypeOf(value) === Object.prototype;
}
