/** The one place of the simulation that waits for the real machine: for its own promises, never for time. */

/** Resolves when every promise that can go on without a timer has done so. */
export function drained(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
