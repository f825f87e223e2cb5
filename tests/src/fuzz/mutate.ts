/** Changes of texts and bytes that find the edges of parsers. */
import type { Random } from '@atelier/api';
import { between, pick } from '@atelier/simulation/random';

/** Texts that have broken somebody's parser before. */
export const hostileTexts: readonly [string, ...string[]] = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\r\n',
  '\u{feff}',
  '\ud800',
  '\udc00\ud800',
  '\ufffd',
  '\u2028',
  '\u{1f600}',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '../../../x',
  '/',
  '.',
  '..',
  'null',
  'true',
  '-1',
  '0',
  '1e999',
  'NaN',
  '9007199254740993',
  '18446744073709551616',
  '-9223372036854775809',
  '0x10',
  '%00',
  '%s%n',
  '${x}',
  '${localEnv:}',
  '${localEnv:__proto__}',
  '$(true)',
  '\\u0000',
  '"',
  "'",
  '\\',
  'a'.repeat(300),
  'a'.repeat(5000),
];

/** Numbers at the edges of their kinds. */
export const hostileNumbers: readonly [bigint, ...bigint[]] = [
  0n,
  1n,
  -1n,
  127n,
  128n,
  255n,
  65_535n,
  65_536n,
  70_000n,
  2n ** 31n - 1n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 32n - 1n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 64n - 1n,
  315_576_000_000n,
  315_576_000_001n,
  253_402_300_799n,
  253_402_300_800n,
  -62_135_596_801n,
];

/** Whether something that happens with this probability happens now. */
export function chance(random: Random, probability: number): boolean {
  return random() < probability;
}

/** What a grammar is made of, for {@link mutateText}. */
export interface Grammar {
  /** Whole texts to begin with. */
  readonly texts: readonly [string, ...string[]];
  /** Pieces that mean something in the grammar. */
  readonly tokens: readonly [string, ...string[]];
  /** No text gets longer. */
  readonly lengthMax: number;
}

/** One of the grammar's texts with a few changes; about one in two hundred becomes as long as it may be. */
export function mutateText(random: Random, grammar: Grammar): string {
  let text: string = pick(random, grammar.texts);
  const changes = between(random, 0, 6);
  for (let count = 0; count < changes; count += 1) text = changedText(random, text, grammar);
  if (chance(random, 0.005)) text = grown(random, text, grammar);
  return text.slice(0, grammar.lengthMax);
}

function changedText(random: Random, text: string, { texts, tokens }: Grammar): string {
  const from = between(random, 0, text.length);
  const to = Math.min(text.length, from + between(random, 0, chance(random, 0.2) ? 200 : 8));
  const [before, part, after] = [text.slice(0, from), text.slice(from, to), text.slice(to)];
  switch (between(random, 0, 8)) {
    case 0:
      return before + after;
    case 1:
      return before + part + part + after;
    case 2:
      return before + part.repeat(between(random, 2, 40)) + after;
    case 3:
      return before + String.fromCharCode(between(random, 0, chance(random, 0.8) ? 127 : 0xffff)) + after;
    case 4:
      return before + pick(random, hostileTexts) + after;
    case 5: {
      const other = pick(random, texts);
      const start = between(random, 0, other.length);
      return before + other.slice(start, start + between(random, 1, 120)) + after;
    }
    case 6:
      return before + String(pick(random, hostileNumbers)) + after;
    case 7:
      return swappedLineEnds(random, text);
    default:
      return before + pick(random, tokens) + after;
  }
}

function swappedLineEnds(random: Random, text: string): string {
  return text.replaceAll('\n', pick(random, ['\r\n', '\r', '\n\n', '']));
}

/** A few pieces repeated until no more fit: where a parser takes more than linear time, this shows it. */
function grown(random: Random, text: string, { tokens, lengthMax }: Grammar): string {
  const pieces = Array.from({ length: between(random, 1, 3) }, () => pick(random, tokens)).join('');
  const at = between(random, 0, text.length);
  const room = Math.max(0, lengthMax - text.length);
  const numbered = chance(random, 0.5);
  let repeated = '';
  for (let count = 0; repeated.length < room; count += 1) repeated += numbered ? pieces + count : pieces;
  return text.slice(0, at) + repeated.slice(0, room) + text.slice(at);
}

/** The bytes with a few bits, bytes or parts changed; often none. */
export function mutateBytes(random: Random, bytes: Uint8Array): Buffer {
  let changed = Buffer.from(bytes);
  if (chance(random, 0.4)) return changed;
  for (let count = between(random, 1, 4); count > 0; count -= 1) changed = changedBytes(random, changed);
  return changed;
}

function changedBytes(random: Random, bytes: Buffer): Buffer<ArrayBuffer> {
  const at = between(random, 0, Math.max(0, bytes.length - 1));
  const end = Math.min(bytes.length, at + between(random, 1, 16));
  switch (between(random, 0, 5)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    case 2:
      return Buffer.from(bytes.subarray(0, at));
    case 3: {
      const length = between(random, 1, 8);
      const inserted = Buffer.from(Array.from({ length }, () => between(random, 0, 255)));
      return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
    }
    default: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << between(random, 0, 7));
      return copy;
    }
  }
}
