/** What `docs/isolation.md` says of the lists, and how they stand to the defaults of container engines. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { grantedCapabilities, moreCapabilities } from './capabilities.ts';
import { maskedPaths, readonlyPaths } from './covers.ts';
import { moreOpen, refusedCalls, seccompProfile, socketFamilies, type Reasoned } from './seccomp.ts';

const document = readFileSync(new URL('../../../../docs/isolation.md', import.meta.url), 'utf8');
const engineProfile = '/usr/share/containers/seccomp.json';
const engineConfiguration = '/usr/share/containers/containers.conf';

const code = (words: readonly string[]): string => words.map((word) => `\`${word}\``).join(', ');
const pairs = (table: Readonly<Record<string, string>>): string[][] =>
  Object.entries(table).map(([name, reason]) => [code([name]), reason]);
const calls = (table: readonly Reasoned[]): string[][] =>
  table.map(([reason, names]) => [code(names), reason]);

/** Headings of the document, and the rows of the table below each. */
const tables: Readonly<Record<string, string[][]>> = {
  'Capabilities of root inside': Object.entries(grantedCapabilities).map(([name, reason]) => [
    code([name]),
    moreCapabilities.includes(name) ? 'no' : 'yes',
    reason,
  ]),
  'Calls that are refused': calls(refusedCalls),
  'Families of sockets': socketFamilies.map(([number, name, reason]) => [
    String(number),
    code([name]),
    reason,
  ]),
  'More open than container engines': calls(moreOpen),
  'Covered paths': pairs(maskedPaths),
  'Read-only paths': pairs(readonlyPaths),
};

function rowsBelow(heading: string): string[][] {
  const [, section = ''] = document.split(`\n### ${heading}\n`);
  const lines = (section.split('\n#')[0] ?? '').split('\n').filter((line) => line.startsWith('|'));
  // The first two are the names of the columns and the line below them.
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

describe('docs/isolation.md', () => {
  it.each(Object.keys(tables))('has the list "%s" as it is in the code', (heading) => {
    expect(rowsBelow(heading)).toEqual(tables[heading]);
  });
});

interface EngineRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly args?: readonly unknown[] | null;
  readonly includes?: { readonly caps?: readonly string[]; readonly arches?: readonly string[] };
  readonly excludes?: { readonly caps?: readonly string[] };
}

/** The calls that the profile of container engines lets root with our capabilities make, whatever its words. */
function allowedByEngines(rules: readonly EngineRule[]): Set<string> {
  const has = (name: string): boolean => name in grantedCapabilities;
  const applies = ({ includes, excludes }: EngineRule): boolean =>
    (includes?.caps ?? []).every(has) &&
    !(excludes?.caps ?? []).some(has) &&
    (includes?.arches ?? ['amd64']).includes('amd64');
  const open = rules.filter(
    (rule) => rule.action === 'SCMP_ACT_ALLOW' && !rule.args?.length && applies(rule),
  );
  return new Set(open.flatMap(({ names }) => names));
}

describe('next to the defaults of container engines', () => {
  it('nothing more is open than what has a reason', ({ skip }) => {
    skip(!existsSync(engineProfile), `${engineProfile} is not there: it comes with buildah`);
    const { syscalls } = JSON.parse(readFileSync(engineProfile, 'utf8')) as { syscalls: EngineRule[] };
    const allowed = allowedByEngines(syscalls);
    const refused = new Set(refusedCalls.flatMap(([, names]) => names));
    const reasoned = new Set(moreOpen.flatMap(([, names]) => names));
    const theirs = new Set(syscalls.flatMap(({ names }) => names).filter((name) => !allowed.has(name)));
    expect(theirs.size).toBeGreaterThan(30);
    expect([...theirs].filter((name) => !refused.has(name) && !reasoned.has(name))).toEqual([]);
    expect([...reasoned].filter((name) => refused.has(name))).toEqual([]);
  });

  it('the capabilities beyond theirs are those that are named', ({ skip }) => {
    skip(!existsSync(engineConfiguration), `${engineConfiguration} is not there: it comes with buildah`);
    const [, list = ''] =
      /default_capabilities = \[([^\]]*)\]/.exec(readFileSync(engineConfiguration, 'utf8')) ?? [];
    const theirs = [...list.matchAll(/"([A-Z_]+)"/g)].map(([, name]) => `CAP_${name}`);
    expect(theirs.length).toBeGreaterThan(5);
    const beyond = Object.keys(grantedCapabilities).filter((name) => !theirs.includes(name));
    expect(beyond).toEqual(expect.arrayContaining([...moreCapabilities]));
    expect(moreCapabilities).toEqual(expect.arrayContaining(beyond));
  });
});

describe('the filter', () => {
  const profile = seccompProfile('x64') as {
    syscalls: { names: string[]; args?: { index: number; op: string; value: number }[] }[];
  };

  /** As the kernel evaluates it: on all 64 bits of a word. */
  const isRefused = (family: bigint): boolean =>
    profile.syscalls.some(({ names, args }) => {
      const [condition] = args ?? [];
      if (!names.includes('socket') || condition === undefined) return false;
      const value = BigInt(condition.value);
      return condition.op === 'SCMP_CMP_GT' ? family > value : family === value;
    });

  it('lets those families of sockets through that are in the table, and no other number for any', () => {
    const known = socketFamilies.map(([family]) => family);
    for (let family = 0; family < 256; family++) {
      expect({ family, refused: isRefused(BigInt(family)) }).toEqual({
        family,
        refused: !known.includes(family),
      });
      expect(isRefused(2n ** 32n + BigInt(family))).toBe(true);
    }
  });
});
