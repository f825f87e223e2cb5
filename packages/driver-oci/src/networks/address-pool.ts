/**
 * Addresses of attachments: one pair per environment, the even address for the gateway on the host and the odd
 * one for the environment. Pure.
 */
import { AtelierError } from '@atelier/api';

/** Private ranges that few sites route; the first one that touches no route of this host is used. */
const pools = ['10.213.0.0/16', '10.137.0.0/16', '172.29.0.0/16', '10.61.0.0/16', '192.168.208.0/20'];

/** A range of addresses as numbers. */
export interface AddressRange {
  readonly first: number;
  readonly count: number;
}

/** The two ends of an attachment. */
export interface AddressPair {
  readonly gateway: string;
  readonly address: string;
}

/** An IPv4 range of the form `10.0.0.0/8`, or a single address; undefined for anything else. */
export function parseRange(text: string): AddressRange | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/.exec(text);
  if (!match) return undefined;
  const number = match.slice(1, 5).reduce((sum, part) => sum * 256 + Number(part), 0);
  const count = 2 ** (32 - Number(match[5] ?? 32));
  return { first: number - (number % count), count };
}

/** A route of the host, as `ip -json -4 route show table all` prints it. */
export interface HostRoute {
  readonly dst?: string;
  readonly dev?: string;
}

/** The ranges that routes lead to, `default` left out. */
export function routedRanges(routes: readonly HostRoute[]): AddressRange[] {
  return routes.flatMap((route) => parseRange(route.dst ?? '') ?? []);
}

/**
 * Gateway addresses that may be claimed, beginning at a place that depends on `seed` (hexadecimal).
 * Errors: `failed_precondition` when the host routes a part of every pool.
 */
export function* gatewayCandidates(taken: readonly AddressRange[], seed: string): Generator<string> {
  const free = pools.flatMap((text) => parseRange(text) ?? []).filter((pool) => !taken.some(touches(pool)));
  if (free.length === 0) {
    const message = `this host routes a part of each of ${pools.join(', ')}: no address is left for environments`;
    throw new AtelierError('failed_precondition', message);
  }
  for (const pool of free) {
    const pairs = pool.count / 2;
    const start = Number.parseInt(seed, 16) % pairs;
    // The first and the last pair hold the addresses that some stacks take for a network and a broadcast.
    for (let index = 0; index < pairs; index++) {
      const pair = (start + index) % pairs;
      if (pair > 0 && pair < pairs - 1) yield formatAddress(pool.first + pair * 2);
    }
  }
}

/** The pair of a claimed gateway address. */
export function pairOf(gateway: string): AddressPair {
  const range = parseRange(gateway);
  if (range === undefined) throw new AtelierError('internal', `${gateway} is no IPv4 address`);
  return { gateway, address: formatAddress(range.first + 1) };
}

function touches(one: AddressRange): (other: AddressRange) => boolean {
  return (other) => one.first < other.first + other.count && other.first < one.first + one.count;
}

function formatAddress(number: number): string {
  return [24, 16, 8, 0].map((bits) => Math.floor(number / 2 ** bits) % 256).join('.');
}
