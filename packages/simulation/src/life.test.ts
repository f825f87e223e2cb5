import { describe, expect, it } from 'vitest';
import { lifeParts, live, type Death } from './life.ts';

/** Every so many-th call is tried in one run of the tests, beginning with another one each time. */
const stride = 10;
const first = 1 + Math.floor(Math.random() * stride);
/** Fewer calls than these would mean that the death never came to be. */
const deathsMin = { runner: 8, plane: 2 };

const cases = lifeParts.flatMap((part) => (['runner', 'plane'] as const).map((whose) => ({ part, whose })));

describe(`a death at every ${stride}th call, from the ${first}th on`, () => {
  it.each(cases)('of the $whose during $part does no harm', async ({ part, whose }) => {
    let deaths = 0;
    for (let atCall = first; ; atCall += stride) {
      const effects = await Promise.all(
        [true, false].map((effect) => liveSoundly({ part, whose, atCall, effect })),
      );
      if (!effects.every(Boolean)) break;
      deaths += effects.length;
    }
    expect(deaths).toBeGreaterThanOrEqual(deathsMin[whose] / 2);
  });
});

/** Lives a life, expects it to go well, and says whether the death came. */
async function liveSoundly(death: Death): Promise<boolean> {
  const { died, stuckIn, violations } = await live(death);
  const words = violations.map(({ oracle, message }) => `${oracle}: ${message}`);
  expect({ death, stuckIn, words }).toEqual({ death, stuckIn: undefined, words: [] });
  return died;
}
