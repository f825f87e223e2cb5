/** The real clock and the real randomness: the only file of this package that touches them. */
import type { Clock, Random } from './clock.ts';

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  timer(afterMs, fire) {
    const handle = setTimeout(fire, afterMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Chance for backoff and the like; never for secrets. */
export const systemRandom: Random = () => Math.random();
