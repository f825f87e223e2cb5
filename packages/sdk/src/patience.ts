/** How long and how often something is tried again whose connection was lost. */
import { AtelierError, sleep, type Clock } from '@atelier/api';

const pauseMs = { first: 50, most: 1_000 };

/** Counts the time since the last success. */
export class Patience {
  readonly #clock: Clock;
  readonly #limitMs: number;
  #lostAtMs: number | undefined;
  #waitMs = pauseMs.first;

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  /** It works (again). */
  succeeded(): void {
    this.#lostAtMs = undefined;
    this.#waitMs = pauseMs.first;
  }

  /** Whether the connection is lost at present. */
  get isLost(): boolean {
    return this.#lostAtMs !== undefined;
  }

  /** Waits before the next try; throws `error` when the limit is reached or nobody waits any more. */
  async wait(error: AtelierError, signal?: AbortSignal): Promise<void> {
    const nowMs = this.#clock.nowMs();
    this.#lostAtMs ??= nowMs;
    if (signal?.aborted || nowMs - this.#lostAtMs >= this.#limitMs) throw error;
    await sleep(this.#clock, this.#waitMs, signal);
    this.#waitMs = Math.min(this.#waitMs * 2, pauseMs.most);
  }
}

const lossCodes = new Set(['unavailable', 'internal', 'canceled', 'aborted', 'deadline_exceeded']);

/** Whether an error means that the connection broke, rather than that the other side said no. */
export function isConnectionLoss(error: AtelierError): boolean {
  return lossCodes.has(error.code);
}
