/** Connect's envelopes: a flag byte, a length of four bytes, a message. */
import type { Random } from '@atelier/api';
import { pick } from '@atelier/simulation/random';
import { chance } from './mutate.ts';

/** One envelope, whose flags or length are wrong now and then. */
export function frame(random: Random, message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(chance(random, 0.03) ? pick(random, [1, 2, 3, 4, 0x80, 0xff]) : 0);
  const wrong = chance(random, 0.02);
  const length = wrong
    ? pick(random, [0, 1, message.length + 1, 2 ** 24, 2 ** 31, 2 ** 32 - 1])
    : message.length;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}
