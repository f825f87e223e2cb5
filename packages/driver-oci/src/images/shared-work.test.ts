import { AtelierError, type Clock } from '@atelier/api';
import { describe, expect, it } from 'vitest';
import { makeSharedWork } from './shared-work.ts';

/** A clock that moves when it is told to. */
function handClock(): Clock & { move(ms: number): void } {
  let nowMs = 0;
  const timers = new Map<object, { atMs: number; fire: () => void }>();
  return {
    nowMs: () => nowMs,
    timer(afterMs, fire) {
      const timer = { cancel: () => void timers.delete(timer) };
      timers.set(timer, { atMs: nowMs + afterMs, fire });
      return timer;
    },
    move(ms) {
      nowMs += ms;
      for (const [timer, { atMs, fire }] of timers) {
        if (atMs > nowMs) continue;
        timers.delete(timer);
        fire();
      }
    },
  };
}

const never = new AbortController().signal;

describe('work that is shared', () => {
  it('is done once for all who ask at the same time, and again for who asks later', async () => {
    const shared = makeSharedWork<number>(handClock());
    let count = 0;
    const work = async (): Promise<number> => ++count;
    const ask = (): Promise<number> => shared('key', () => {}, never, work);
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1]);
    expect(await ask()).toBe(2);
  });

  it('tells everybody, and says more than once what takes long', async () => {
    const clock = handClock();
    const shared = makeSharedWork<void>(clock);
    const heard: string[][] = [[], []];
    const work = Promise.withResolvers<void>();
    const both = heard.map((lines) =>
      shared(
        'key',
        (line) => lines.push(line),
        never,
        (progress) => {
          queueMicrotask(() => progress('pulling', 0.5));
          return work.promise;
        },
      ),
    );
    await Promise.resolve();
    clock.move(1600);
    clock.move(1600);
    work.resolve();
    await Promise.all(both);
    expect(heard).toEqual([
      ['pulling', 'pulling (2 s)', 'pulling (3 s)'],
      ['pulling', 'pulling (2 s)', 'pulling (3 s)'],
    ]);
    clock.move(5000);
    expect(heard[0]).toHaveLength(3);
  });

  it('goes on until the last one has given up, who waits for its end', async () => {
    const shared = makeSharedWork<string>(handClock());
    const [first, second] = [new AbortController(), new AbortController()];
    const ended = Promise.withResolvers<void>();
    let inner = never;
    const work = async (_: unknown, signal: AbortSignal): Promise<string> => {
      inner = signal;
      await ended.promise;
      throw new AtelierError('internal', 'killed');
    };
    const calls = [first, second].map((one) => shared('key', () => {}, one.signal, work));
    first.abort();
    await expect(calls[0]).rejects.toMatchObject({ code: 'canceled' });
    expect(inner.aborted).toBe(false);
    second.abort();
    expect(inner.aborted).toBe(true);
    const again = shared(
      'key',
      () => {},
      never,
      async () => 'anew',
    );
    ended.resolve();
    await expect(calls[1]).rejects.toMatchObject({ code: 'canceled' });
    expect(await again).toBe('anew');
  });

  it('that fails fails for all, with its own error', async () => {
    const shared = makeSharedWork<never>(handClock());
    const fail = (): Promise<never> =>
      shared(
        'key',
        () => {},
        never,
        async () => {
          throw new AtelierError('not_found', 'no such image');
        },
      );
    await Promise.all(
      [fail(), fail()].map((call) => expect(call).rejects.toMatchObject({ code: 'not_found' })),
    );
  });
});
