import { describe, expect, it } from 'vitest';
import {
  agreedVersion,
  compareVersions,
  runnerProtocolLog,
  runnerProtocolVersion,
  supervisorProtocolLog,
  supervisorProtocolVersion,
} from './protocol.ts';

describe('the log of a protocol', () => {
  it.each([
    ['runner', runnerProtocolLog, runnerProtocolVersion],
    ['supervisor', supervisorProtocolLog, supervisorProtocolVersion],
  ])('of the %s says what each version changed, up to the present one', (_, log, version) => {
    expect(log.map((entry) => entry.version)).toEqual(Array.from({ length: version }, (_none, i) => i + 1));
    for (const { date, change } of log) {
      expect(date).toMatch(/^\d{4}-\d{2}-\d{2}$/);
      expect(change).not.toBe('');
    }
    expect(log.map(({ date }) => date)).toEqual(log.map(({ date }) => date).toSorted());
  });
});

describe('agreedVersion', () => {
  it.each([
    [5, 3, undefined],
    [5, 4, 4],
    [5, 5, 5],
    [5, 6, 5],
    [5, 7, undefined],
  ])('%i with %i: %s', (own, other, agreed) => {
    expect(agreedVersion(own, other)).toBe(agreed);
  });
});

describe('compareVersions', () => {
  it.each([
    ['0.1.0', '0.1.0', 0],
    ['0.1.9', '0.1.10', -1],
    ['1.0.0', '0.9.9', 1],
    ['none', '0.9.9', Number.NaN],
  ])('%s against %s', (one, other, sign) => {
    expect(Math.sign(compareVersions(one, other))).toBe(sign);
  });
});
