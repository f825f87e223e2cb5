import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { idRangeCandidates, idRangeSize, parseSubordinateIds } from '../claims/id-range.ts';
import { homeAt } from '../home.ts';
import { copyInherited, hostInheritance, thisHost } from './inheritance.ts';
import { filesMax } from './limits.ts';
import { parseMountTable } from './mount-table.ts';
import { droppingChains } from './probe.ts';

describe('the host', () => {
  it('shows mounts, with what is escaped in their paths', () => {
    const line = '36 35 98:0 net:[4026531840] /mnt/with\\040space rw shared:1 - nsfs nsfs rw,a=b';
    expect(parseMountTable(`${line}\n`)).toEqual([
      { root: 'net:[4026531840]', mountPoint: '/mnt/with space', type: 'nsfs', options: ['rw', 'a=b'] },
    ]);
  });

  it('tells how many files may be open', () => {
    expect(
      filesMax('Limit  Soft Hard Units\nMax open files            1024                 20000      files\n'),
    ).toBe(20000);
    expect(() => filesMax('')).toThrow(/no limit of open files/);
  });

  it('finds chains that drop what is forwarded, but not ours', () => {
    const chain = (table: string, hook: string, policy: string) => ({
      chain: { family: 'ip', table, name: 'FORWARD', hook, policy },
    });
    const nftables = [
      { metainfo: {} },
      chain('filter', 'forward', 'drop'),
      chain('other', 'forward', 'accept'),
      chain('input', 'input', 'drop'),
      chain('atelier_00000000', 'forward', 'drop'),
    ];
    expect(droppingChains(JSON.stringify({ nftables }), 'atelier_')).toEqual([
      'chain FORWARD of table ip filter',
    ]);
  });

  it('passes proxies on, and lets those at an address through', () => {
    const folder = mkdtempSync(join(tmpdir(), 'atelier-inheritance-'));
    try {
      const variables = {
        http_proxy: 'http://10.1.2.3:3128',
        HTTPS_PROXY: 'http://localhost:8080',
        no_proxy: '',
        NO_PROXY: 'example.org',
      };
      const found = hostInheritance(homeAt(folder), { ...thisHost, variables });
      expect(found.environment).toMatchObject({
        http_proxy: 'http://10.1.2.3:3128',
        HTTP_PROXY: 'http://10.1.2.3:3128',
        https_proxy: 'http://localhost:8080',
        NO_PROXY: 'example.org',
      });
      expect(found.proxies).toEqual([{ address: '10.1.2.3', port: 3128 }]);
      expect(found.report.join()).toMatch(/https_proxy names this host's own loopback/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('certificate authorities of the host', () => {
  it('are passed on when somebody added some, and copied only when the driver is opened', () => {
    const folder = mkdtempSync(join(tmpdir(), 'atelier-inheritance-'));
    try {
      const [home, additions, bundle] = [homeAt(folder), join(folder, 'anchors'), join(folder, 'bundle')];
      const host = { variables: {}, bundles: [bundle], additions: [additions] };
      writeFileSync(bundle, 'all of them');
      mkdirSync(additions);
      expect(hostInheritance(home, host)).toMatchObject({ environment: {}, folders: [], proxies: [] });
      writeFileSync(join(additions, 'own.crt'), 'one of them');
      const found = hostInheritance(home, host);
      expect(found.environment['SSL_CERT_FILE']).toBe('/opt/atelier-host/ca-certificates.crt');
      const copy = join(folder, 'runner/host/ca-certificates.crt');
      expect(existsSync(copy)).toBe(false);
      copyInherited(home, found);
      expect(readFileSync(copy, 'utf8')).toBe('all of them');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('ranges of ids', () => {
  it('touch no range of somebody else', () => {
    const foreign = parseSubordinateIds('containers:1879048192:131073\n\nbroken\n');
    expect(foreign).toEqual([{ first: 1879048192, count: 131073 }]);
    const all = [...idRangeCandidates(foreign, '0')].map(Number);
    expect(Math.min(...all)).toBe(1879048192 + 3 * idRangeSize);
    expect(Math.max(...all) + idRangeSize).toBeLessThanOrEqual(2 ** 31);
    expect(new Set(all).size).toBe(4093);
  });

  it('begin somewhere else for another home', () => {
    const [one] = idRangeCandidates([], '00000000');
    const [other] = idRangeCandidates([], '00000001');
    expect(one).not.toBe(other);
  });
});
