/** Makes a failing input smaller. */
import type { Input } from './target.ts';

/**
 * Leaves out ever smaller parts for as long as the rest still fails in the same way. Ends after `triesMax` runs,
 * since an input of many thousand parts could take for ever.
 */
export async function shrink(
  input: Input,
  fails: (smaller: Input) => Promise<boolean>,
  triesMax = 2000,
): Promise<Input> {
  let best = input;
  let tries = 0;
  for (let part = Math.ceil(best.length / 2); part >= 1; part = part === 1 ? 0 : Math.ceil(part / 2)) {
    for (let from = 0; from < best.length && tries < triesMax;) {
      const smaller = without(best, from, from + part);
      tries += 1;
      if (await fails(smaller)) best = smaller;
      else from += part;
    }
  }
  return best;
}

function without(input: Input, from: number, to: number): Input {
  if (typeof input === 'string') return input.slice(0, from) + input.slice(to);
  if (input instanceof Uint8Array) return Buffer.concat([input.subarray(0, from), input.subarray(to)]);
  return [...input.slice(0, from), ...input.slice(to)];
}

/** The input as a text that can be put into a test. */
export function shown(input: Input): string {
  if (input instanceof Uint8Array) return `Buffer.from('${Buffer.from(input).toString('base64')}', 'base64')`;
  return JSON.stringify(input);
}
