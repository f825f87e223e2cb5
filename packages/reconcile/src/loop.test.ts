import { ManualClock } from '@atelier/api/testing';
import { describe, expect, it } from 'vitest';
import { createLoop, type Loop, type LoopOptions, type Outcome, type PassOutcome } from './loop.ts';

interface Rig {
  readonly loop: Loop;
  readonly clock: ManualClock;
  readonly passes: string[];
  readonly reported: PassOutcome[];
}

function rig(reconcile: LoopOptions['reconcile'], more: Partial<LoopOptions> = {}): Rig {
  const clock = new ManualClock();
  const passes: string[] = [];
  const reported: PassOutcome[] = [];
  const loop = createLoop({
    name: 'test',
    clock,
    random: () => 0,
    concurrency: 2,
    backoff: { initialMs: 100, maxMs: 1000 },
    onOutcome: (outcome) => reported.push(outcome),
    ...more,
    reconcile: (key, signal) => {
      passes.push(key);
      return reconcile(key, signal);
    },
  });
  return { loop, clock, passes, reported };
}

const settled: Outcome = { kind: 'settled' };

describe('createLoop', () => {
  it('makes one pass per key however often it is woken before it begins', async () => {
    const { loop, passes } = rig(async () => settled, { concurrency: 1 });
    loop.wakeAll(['a', 'b', 'b', 'b', 'c']);
    await loop.settled();
    expect(passes).toEqual(['a', 'b', 'c']);
  });

  it('makes exactly one more pass for wake-ups during a pass', async () => {
    const gates: Array<() => void> = [];
    const { loop, passes } = rig(() => new Promise((resolve) => gates.push(() => resolve(settled))));
    loop.wake('a');
    loop.wake('a');
    loop.wake('a');
    expect(passes).toEqual(['a']);
    gates[0]?.();
    await Promise.resolve();
    await Promise.resolve();
    expect(passes).toEqual(['a', 'a']);
    gates[1]?.();
    await loop.settled();
    expect(passes).toEqual(['a', 'a']);
  });

  it('never has two passes of a key and never more passes than allowed', async () => {
    let [now, most] = [0, 0];
    const inside = new Set<string>();
    const { loop, passes } = rig(
      async (key) => {
        expect(inside.has(key)).toBe(false);
        inside.add(key);
        most = Math.max(most, (now += 1));
        await Promise.resolve();
        loop.wake(passes.length < 40 ? 'a' : 'b');
        now -= 1;
        inside.delete(key);
        return passes.length < 60 ? settled : { kind: 'failed', reason: 'enough' };
      },
      { concurrency: 3 },
    );
    loop.wakeAll(['a', 'b', 'c', 'd', 'e']);
    while (passes.length < 60) await Promise.resolve();
    await loop.stop();
    expect(most).toBe(2 + 1);
  });

  it('looks again after the time of `again`, and earlier when woken', async () => {
    const { loop, clock, passes } = rig(async () => ({ kind: 'again', afterMs: 500 }));
    loop.wake('a');
    await loop.settled();
    clock.advance(499);
    await loop.settled();
    expect(passes).toHaveLength(1);
    clock.advance(1);
    await loop.settled();
    expect(passes).toHaveLength(2);
    loop.wake('a');
    await loop.settled();
    expect(passes).toHaveLength(3);
    expect(clock.waiting).toBe(1);
  });

  it('doubles the pause of retries up to the longest, takes jitter away, and forgets it after a success', async () => {
    const outcomes: Outcome[] = Array.from({ length: 6 }, () => ({ kind: 'retry', error: 'no' }));
    outcomes.push(settled, { kind: 'retry', error: 'again' });
    const { loop, clock, reported } = rig(async () => outcomes.shift() ?? settled, { random: () => 0.5 });
    loop.wake('a');
    for (let count = 0; count < 6; count += 1) {
      await loop.settled();
      clock.advance(1000);
    }
    await loop.settled();
    loop.wake('a');
    await loop.settled();
    expect(reported.map(({ nextMs }) => nextMs)).toEqual([75, 150, 300, 600, 750, 750, undefined, 75]);
    expect(reported.map(({ retries }) => retries)).toEqual([1, 2, 3, 4, 5, 6, 0, 1]);
  });

  it('takes a thrown error, also one thrown at once, as a retry', async () => {
    let count = 0;
    const { loop, reported } = rig(() => {
      count += 1;
      if (count === 1) throw new TypeError('at once');
      return Promise.reject(new TypeError('later'));
    });
    loop.wake('a');
    await loop.settled();
    loop.wake('a');
    await loop.settled();
    expect(reported.map(({ outcome }) => outcome.kind)).toEqual(['retry', 'retry']);
  });

  it('leaves a failed key alone until it is woken', async () => {
    const { loop, clock, passes, reported } = rig(async () => ({ kind: 'failed', reason: 'wrong' }));
    loop.wake('a');
    await loop.settled();
    expect(clock.waiting).toBe(0);
    expect(reported[0]?.nextMs).toBeUndefined();
    loop.wake('a');
    await loop.settled();
    expect(passes).toHaveLength(2);
  });

  it('goes on when the listener throws, forgets or wakes', async () => {
    const { loop, clock, passes } = rig(async () => ({ kind: 'again', afterMs: 10 }), {
      onOutcome: ({ key }) => {
        if (key === 'a') loop.forget('a');
        else throw new TypeError('a log that is full');
      },
    });
    loop.wakeAll(['a', 'b']);
    await loop.settled();
    clock.advance(10);
    await loop.settled();
    expect(passes).toEqual(['a', 'b', 'b']);
  });

  it('forgets a key with its timer, aborts its pass, and can meet it again', async () => {
    const signals: AbortSignal[] = [];
    let finish = (): void => {};
    const { loop, clock, passes, reported } = rig((_key, signal) => {
      signals.push(signal);
      return new Promise((resolve) => (finish = () => resolve({ kind: 'again', afterMs: 10 })));
    });
    loop.wake('a');
    loop.forget('a');
    expect(signals[0]?.aborted).toBe(true);
    loop.wake('a');
    expect(passes).toHaveLength(1);
    finish();
    await Promise.resolve();
    await Promise.resolve();
    expect(passes).toHaveLength(2);
    expect(reported).toHaveLength(0);
    finish();
    await loop.settled();
    loop.forget('a');
    expect(clock.waiting).toBe(0);
  });

  it('stops: aborts, waits for the passes, and never begins another', async () => {
    const { loop, clock, passes } = rig(
      (_key, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new TypeError('aborted')));
        }),
      { concurrency: 1 },
    );
    loop.wakeAll(['a', 'b']);
    await loop.stop();
    loop.wake('c');
    clock.advance(10_000);
    await loop.stop();
    expect(passes).toEqual(['a']);
    expect(clock.waiting).toBe(0);
  });
});
