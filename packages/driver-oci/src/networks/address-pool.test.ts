import { describe, expect, it } from 'vitest';
import { gatewayCandidates, pairOf, parseRange, routedRanges } from './address-pool.ts';

const range = (text: string) => parseRange(text) ?? { first: -1, count: 0 };

describe('the address pool', () => {
  it('reads ranges, and leaves out what is none', () => {
    expect(range('10.0.0.0/8')).toEqual({ first: 10 * 2 ** 24, count: 2 ** 24 });
    expect(range('10.0.0.7/31').first).toBe(range('10.0.0.6').first);
    expect(routedRanges([{ dst: 'default' }, { dst: '10.1.0.0/16' }, { dst: 'fe80::/64' }])).toEqual([
      range('10.1.0.0/16'),
    ]);
  });

  it('gives pairs of which the gateway is the even one', () => {
    const [gateway = ''] = gatewayCandidates([], 'ffff');
    expect(pairOf(gateway).gateway).toBe(gateway);
    expect(range(gateway).first % 2).toBe(0);
    expect(range(pairOf(gateway).address).first).toBe(range(gateway).first + 1);
  });

  it('never gives one address twice', () => {
    const all = [...gatewayCandidates([], '1')];
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(100_000);
  });

  it('keeps away from everything that the host routes', () => {
    const taken = [range('10.0.0.0/8'), range('172.29.7.0/24')];
    for (const gateway of gatewayCandidates(taken, '0')) expect(gateway).toMatch(/^192\.168\./);
  });

  it('says so when the host routes a part of every pool', () => {
    const taken = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map(range);
    expect(() => gatewayCandidates(taken, '0').next()).toThrow(/no address is left/);
  });
});
