/** Uid and gid ranges: one of 65536 per environment, the same numbers for both. */
import { readText } from '../host/files.ts';
import type { OciHome } from '../home.ts';
import { claimFirst } from './claims.ts';

/** How many ids an environment has. */
export const idRangeSize = 65536;

/** Above the ranges that systemd gives to containers, below the first id that is negative as a signed number. */
const firstBase = 0x70000000;
const rangeCount = 4096;

/** A run of ids that somebody else has: first and how many. */
export interface ForeignRange {
  readonly first: number;
  readonly count: number;
}

/** Reads the ranges of `/etc/subuid` or `/etc/subgid`. */
export function parseSubordinateIds(text: string): ForeignRange[] {
  return text.split('\n').flatMap((line) => {
    const [, first, count] = line.split(':').map(Number);
    return first !== undefined && count !== undefined && count > 0 ? [{ first, count }] : [];
  });
}

/** First ids of the ranges that touch none of the foreign ones, starting at a place that depends on `seed`. */
export function* idRangeCandidates(foreign: readonly ForeignRange[], seed: string): Generator<string> {
  const start = Number.parseInt(seed, 16) % rangeCount;
  for (let index = 0; index < rangeCount; index++) {
    const base = firstBase + ((start + index) % rangeCount) * idRangeSize;
    const touched = foreign.some(({ first, count }) => base < first + count && first < base + idRangeSize);
    if (!touched) yield String(base);
  }
}

/** Claims a range for an environment, or finds its own; gives the id on the host that is root inside. */
export function claimIdRange(home: OciHome, environmentId: string): number {
  const foreign = ['/etc/subuid', '/etc/subgid'].flatMap((path) => parseSubordinateIds(readText(path) ?? ''));
  return Number(claimFirst(home, 'ids', environmentId, idRangeCandidates(foreign, home.short)));
}
