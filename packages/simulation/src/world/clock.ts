/** Simulated time: it moves only when everything that could happen now has happened. */
import type { Clock, Timer } from '@atelier/api';
import { drained } from '../system.ts';

interface Waiting {
  readonly atMs: number;
  /** Timers of the same moment fire in the order in which they were made. */
  readonly order: number;
  fire: (() => void) | undefined;
}

/** A clock whose timers fire in a fixed order. */
export class SimulatedClock implements Clock {
  /** Runs on evenly, as timers see it. */
  #awakeMs: number;
  /** What the wall clock has gone on while the machine slept. */
  #sleptMs = 0;
  readonly #startMs: number;
  #order = 0;
  /** A heap by time, then order. */
  readonly #heap: Waiting[] = [];

  constructor(startMs: number) {
    this.#startMs = startMs;
    this.#awakeMs = startMs;
  }

  /** Present time in milliseconds since the epoch. */
  nowMs(): number {
    return this.#awakeMs + this.#sleptMs;
  }

  /** Time without that of sleep: it runs as timers do. */
  awakeMs(): number {
    return this.#awakeMs;
  }

  /** How long it has been awake since it was made. */
  awakeForMs(): number {
    return this.#awakeMs - this.#startMs;
  }

  /** The machine sleeps, as a laptop does: no timer moves, and afterwards it is later. */
  sleep(ms: number): void {
    this.#sleptMs += ms;
  }

  /** See {@link Clock.timer}. */
  timer(afterMs: number, fire: () => void): Timer {
    this.#order += 1;
    // Whole milliseconds, as the real clock has them.
    const atMs = this.#awakeMs + Math.ceil(Math.max(0, afterMs));
    const waiting: Waiting = { atMs, order: this.#order, fire };
    push(this.#heap, waiting);
    return {
      cancel() {
        waiting.fire = undefined;
      },
    };
  }

  /**
   * Lets the world run until the given time awake, or until `stop` says so after any event. Between two timers
   * all promises come to rest.
   */
  async runUntil(untilMs: number, stop: () => boolean = () => false): Promise<void> {
    for (;;) {
      await drained();
      if (stop()) return;
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) break;
      pop(this.#heap);
      if (next.fire === undefined) continue;
      this.#awakeMs = next.atMs;
      next.fire();
    }
    this.#awakeMs = Math.max(this.#awakeMs, untilMs);
  }
}

function earlier(one: Waiting, other: Waiting): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

function swap(heap: Waiting[], one: number, other: number): void {
  const kept = heap[one] as Waiting;
  heap[one] = heap[other] as Waiting;
  heap[other] = kept;
}

function push(heap: Waiting[], waiting: Waiting): void {
  heap.push(waiting);
  let index = heap.length - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!earlier(heap[index] as Waiting, heap[parent] as Waiting)) return;
    swap(heap, index, parent);
    index = parent;
  }
}

function pop(heap: Waiting[]): void {
  swap(heap, 0, heap.length - 1);
  heap.pop();
  let index = 0;
  for (;;) {
    let first = index;
    for (const child of [2 * index + 1, 2 * index + 2]) {
      const candidate = heap[child];
      if (candidate !== undefined && earlier(candidate, heap[first] as Waiting)) first = child;
    }
    if (first === index) return;
    swap(heap, index, first);
    index = first;
  }
}
