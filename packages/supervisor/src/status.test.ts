import { describe, expect, it } from 'vitest';
import type { Clock, Timer } from '@atelier/api';
import { StatusBoard } from './status.ts';

/** A clock that goes when it is told to. */
class Hand implements Clock {
  #nowMs = 1_000_000;
  #timers: { atMs: number; run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  timer(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((each) => each !== timer)) };
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { run } of due) run();
  }
}

describe('a status that changes all the time', () => {
  it('is told at once for a while, then a few times per second', async () => {
    const clock = new Hand();
    const board = new StatusBoard(clock, () => clock.nowMs());
    const over = new AbortController();
    let told = 0;
    const reading = (async () => {
      for await (const _ of board.watch(over.signal, () => undefined)) told += 1;
    })();
    const change = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        board.change();
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await change(50);
    expect(told).toBe(8);
    for (let step = 0; step < 10; step += 1) {
      clock.advance(100);
      await change(5);
    }
    expect(told).toBe(13);
    clock.advance(10_000);
    await change(50);
    expect(told).toBe(21);
    over.abort();
    clock.advance(1000);
    await reading;
  });
});
