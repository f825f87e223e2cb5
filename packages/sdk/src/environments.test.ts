import { describe, expect, it } from 'vitest';
import { create } from '@bufbuild/protobuf';
import { EnvironmentSchema } from '@atelier/api/gitpod/environment';
import { selectEnvironment } from './index.ts';

const ids = [
  '01a20327-276a-7c2c-a352-793bbbad71c6',
  '01a20328-0000-7c2c-a352-793bbbad71c6',
  '01b20327-276a-7c2c-a352-793bbbad71c6',
];
const environments = ['guestbook', 'guestbook-2', 'website'].map((name, index) =>
  create(EnvironmentSchema, { id: ids[index] ?? '', metadata: { name } }),
);

describe('selectEnvironment', () => {
  it.each([
    ['guestbook', 'guestbook'],
    ['guestbook-', 'guestbook-2'],
    ['w', 'website'],
    [ids[1] ?? '', 'guestbook-2'],
    ['01b', 'website'],
  ])('%s means %s', (reference, name) => {
    expect(selectEnvironment(environments, reference).metadata?.name).toBe(name);
  });

  it.each([
    ['guestbok', 'not_found', 'there is no environment "guestbok"; did you mean guestbook or guestbook-2?'],
    ['zebra', 'not_found', 'there is no environment "zebra"; "atelier ls" shows those that there are'],
    [
      'guest',
      'invalid_argument',
      `"guest" could be guestbook (${ids[0]}) or guestbook-2 (${ids[1]}); write more of it`,
    ],
    ['', 'not_found', 'there is no environment ""; did you mean website, guestbook or guestbook-2?'],
  ])('%s is refused with words', (reference, code, message) => {
    expect(() => selectEnvironment(environments, reference)).toThrow(
      expect.objectContaining({ code, message }) as Error,
    );
  });

  it('says how to make one when there is none', () => {
    expect(() => selectEnvironment([], 'x')).toThrow('"atelier up" makes one');
  });
});
