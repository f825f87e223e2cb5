/** Time and chance as arguments, so that a simulation can own both. */

/** A timer that has not fired yet. */
export interface Timer {
  /** Forgets the timer; a second call and a call after it fired do nothing. */
  cancel(): void;
}

/** Where time comes from. The real one is in `system.ts`, the simulated one in packages/simulation. */
export interface Clock {
  /** Milliseconds since the Unix epoch. May jump when the machine sleeps or its clock is set. */
  nowMs(): number;
  /** Calls `fire` once after at least `afterMs` milliseconds. Does not keep a process alive by itself. */
  timer(afterMs: number, fire: () => void): Timer;
}

/** Where chance comes from: a number in [0, 1). */
export type Random = () => number;

/** Resolves after `ms` milliseconds, or at once when `signal` is aborted. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = clock.timer(ms, finish);
    signal?.addEventListener('abort', finish, { once: true });
  });
}
