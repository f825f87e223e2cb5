/** The one place of the simulation that knows the real machine: its promises, and how long it took. */

/** Turns between two visits of the event loop, where messages of other threads and of a test runner arrive. */
const turnsMax = 4096;
let turns = 0;

/**
 * Resolves when every promise that can go on without a timer has done so: a tick that is asked for in a
 * microtask comes after all microtasks, and costs a tenth of a turn of the event loop.
 */
export function drained(): Promise<void> {
  turns = (turns + 1) % turnsMax;
  return new Promise((resolve) => {
    if (turns === 0) setImmediate(resolve);
    else process.nextTick(resolve);
  });
}

/** Starts now; gives the seconds since then whenever it is asked. */
export function stopwatch(): () => number {
  const startedMs = performance.now();
  return () => (performance.now() - startedMs) / 1000;
}
