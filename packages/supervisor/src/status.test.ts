import { describe, expect, it } from 'vitest';
import { ManualClock } from '@atelier/api/testing';
import { StatusBoard } from './status.ts';

describe('a status that changes all the time', () => {
  it('is told at once for a while, then a few times per second', async () => {
    const clock = new ManualClock();
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
