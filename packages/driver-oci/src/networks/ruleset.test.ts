import { describe, expect, it } from 'vitest';
import type { Attachment } from './attachments.ts';
import { ruleset } from './ruleset.ts';

function attachment(number: number, egress: 'internet' | 'none', privateRanges: boolean): Attachment {
  return {
    environmentId: `environment ${number}`,
    link: `at000000000000${number}`,
    gateway: `10.213.0.${number * 2}`,
    address: `10.213.0.${number * 2 + 1}`,
    policy: { egress, privateRanges },
  };
}

const setOf = (text: string, name: string): string => new RegExp(`set ${name} {.*}`).exec(text)?.[0] ?? '';

describe('the rules of a home', () => {
  const text = ruleset(
    'abcd0123',
    [attachment(1, 'internet', false), attachment(2, 'none', false), attachment(3, 'internet', true)],
    [{ address: '10.1.2.3', port: 3128 }],
  );

  it('replace the table of this home and name no other', () => {
    expect(text.match(/table inet \S+/g)).toEqual(Array(3).fill('table inet atelier_abcd0123'));
    expect(text.indexOf('delete table')).toBeLessThan(text.indexOf('{'));
  });

  it('let onto the internet only who may', () => {
    expect(setOf(text, 'internet')).toContain('at0000000000001');
    expect(setOf(text, 'internet')).not.toContain('at0000000000002');
    expect(setOf(text, 'inside')).not.toContain('at0000000000001');
    expect(setOf(text, 'inside')).toContain('at0000000000003');
  });

  it('bind each interface to its own address', () => {
    expect(setOf(text, 'sources')).toContain('"at0000000000002" . 10.213.0.5');
    expect(setOf(text, 'gateways')).toContain('"at0000000000002" . 10.213.0.4');
  });

  it('take the table away when nothing is attached', () => {
    expect(ruleset('abcd0123', [], [])).toBe(
      'add table inet atelier_abcd0123\ndelete table inet atelier_abcd0123\n',
    );
  });
});
