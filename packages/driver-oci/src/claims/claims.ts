/**
 * What every home on this machine must agree about: uid ranges, network addresses, interface names, the short
 * name of a home. A claim is a file that appears whole or not at all; who links it first has it.
 */
import { existsSync, linkSync, mkdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { namesIn, readJson, readText } from '../host/files.ts';
import { errnoOf } from '../host/syscalls.ts';
import { machineFolder, type OciHome } from '../home.ts';

/** What can be claimed. */
export type ClaimKind = 'home' | 'ids' | 'address' | 'link';

/** One claim, as its file says it; it holds until it is dropped or dead. */
export interface Claim {
  readonly kind: ClaimKind;
  /** What is claimed: a first id, an address, an interface name or a short name. */
  readonly key: string;
  /** The home that has it. */
  readonly homeFolder: string;
  readonly short: string;
  /** What in that home has it: an environment id, empty for the home itself. */
  readonly owner: string;
  /** Boot of the machine that it was made in; one of an earlier boot holds nothing. */
  readonly bootId: string;
}

const claimsFolder = join(machineFolder, 'claims');

function bootId(): string {
  return (readText('/proc/sys/kernel/random/boot_id') ?? '').trim();
}

function pathOf(kind: ClaimKind, key: string): string {
  return join(claimsFolder, `${kind}-${key}`);
}

/** All claims of the machine. */
export function listClaims(): Claim[] {
  return namesIn(claimsFolder)
    .filter((name) => /^(home|ids|address|link)-/.test(name))
    .flatMap((name) => readJson<Claim>(join(claimsFolder, name)) ?? []);
}

/** The key that this owner has of this kind, undefined when it has none. */
export function findClaim(home: OciHome, kind: ClaimKind, owner: string): string | undefined {
  return claimsOf(home).find((claim) => claim.kind === kind && claim.owner === owner)?.key;
}

/** The claims of one home. */
export function claimsOf(home: OciHome): Claim[] {
  return listClaims().filter((claim) => claim.homeFolder === home.folder && !isDead(claim));
}

/**
 * Claims the first candidate that is free, or finds what the owner has already.
 * Errors: `resource_exhausted` when every candidate is taken.
 */
export function claimFirst(
  home: OciHome,
  kind: ClaimKind,
  owner: string,
  candidates: Iterable<string>,
): string {
  const had = findClaim(home, kind, owner);
  if (had !== undefined) return had;
  mkdirSync(claimsFolder, { recursive: true, mode: 0o700 });
  const draft = join(claimsFolder, `.draft-${process.pid}`);
  const claim = { kind, homeFolder: home.folder, short: home.short, owner, bootId: bootId() };
  for (const key of candidates) {
    writeFileSync(draft, JSON.stringify({ ...claim, key } satisfies Claim), { mode: 0o600 });
    const linked = linkUnlessTaken(draft, pathOf(kind, key));
    unlinkSync(draft);
    if (linked) return key;
  }
  const message = `every ${kind} of this machine is claimed: delete environments, or homes that are not used`;
  throw new AtelierError('resource_exhausted', message);
}

/** Gives up what the owner has of this kind; nothing is success. */
export function releaseClaim(home: OciHome, kind: ClaimKind, owner: string): void {
  const key = findClaim(home, kind, owner);
  if (key !== undefined) dropClaim({ kind, key }, (claim) => claim.homeFolder === home.folder);
}

/** Whether nobody can hold the claim any more: its home is gone, or the machine was booted since. */
export function isDead(claim: Claim): boolean {
  return claim.bootId !== bootId() || !existsSync(claim.homeFolder);
}

/**
 * Takes a claim away when `mayDrop` says so of what is really there: it is moved aside first, so that a claim
 * that somebody made in the meantime under the same name is seen and put back.
 */
export function dropClaim(claim: Pick<Claim, 'kind' | 'key'>, mayDrop: (claim: Claim) => boolean): void {
  const path = pathOf(claim.kind, claim.key);
  const aside = join(claimsFolder, `.aside-${process.pid}`);
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  const found = readJson<Claim>(aside);
  if (found !== undefined && !mayDrop(found)) linkUnlessTaken(aside, path);
  unlinkSync(aside);
}

function linkUnlessTaken(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}
