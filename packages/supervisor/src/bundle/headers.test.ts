import { describe, expect, it } from 'vitest';
import { Headers as OwnHeaders } from './headers.ts';

describe.each([
  ['the bundle', OwnHeaders],
  ['the runtime', Headers],
])('headers of %s', (_whose, Kind) => {
  it('are found without regard to case, and joined', () => {
    const headers = new Kind([['X-One', ' 1 ']]);
    headers.append('x-one', '2');
    headers.set('Another', 'a');
    expect([headers.get('x-ONE'), headers.has('ANOTHER'), headers.get('none')]).toEqual(['1, 2', true, null]);
    headers.delete('another');
    expect(headers.has('another')).toBe(false);
  });

  it('are listed in the order of their names', () => {
    const headers = new Kind({ b: '2', A: '1' });
    expect([...headers]).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
    expect([...headers.entries()]).toEqual([...headers]);
    expect([...headers.keys()]).toEqual(['a', 'b']);
    expect([...headers.values()]).toEqual(['1', '2']);
    const seen: string[] = [];
    headers.forEach((value, name) => seen.push(`${name}=${value}`));
    expect(seen).toEqual(['a=1', 'b=2']);
  });

  it('are made of others, and of nothing', () => {
    expect([...new Kind([...new Kind({ a: '1' })])]).toEqual([['a', '1']]);
    expect([...new Kind(undefined)]).toEqual([]);
  });
});
