/** Homes that are gone while something of them is still on the machine: whoever opens a home next cleans up. */
import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import type { Clock } from '@atelier/api';
import { claimFirst, dropClaim, isDead, listClaims } from '../claims/claims.ts';
import { homeAt, type OciHome } from '../home.ts';
import { makeCgroups } from '../instances/cgroup.ts';
import { killAll, removeCgroups } from '../instances/death.ts';
import { currentBoot } from '../instances/records.ts';
import { removeLink } from '../networks/links.ts';
import { ruleset } from '../networks/ruleset.ts';
import { mountsBelow } from './mount-table.ts';
import { run } from './run.ts';
import { unmount } from './syscalls.ts';

/**
 * Claims the short name of a home and takes away what homes left behind that are not there any more. What was
 * claimed before the last boot of the machine is forgotten.
 * Errors: `resource_exhausted` when another home has the same short name.
 */
export async function enterMachine(home: OciHome, clock: Clock): Promise<void> {
  const dead = listClaims().filter(isDead);
  const folders = new Set(
    dead.filter((claim) => claim.bootId === currentBoot()).map((claim) => claim.homeFolder),
  );
  for (const folder of folders) await tearDown(homeAt(folder), clock);
  for (const claim of dead) {
    if (claim.kind === 'link' && claim.bootId === currentBoot()) await removeLink(claim.key);
    dropClaim(claim, isDead);
  }
  claimFirst(home, 'home', '', [home.short]);
}

async function tearDown(home: OciHome, clock: Clock): Promise<void> {
  const cgroups = makeCgroups(home);
  for (const name of cgroups.names()) {
    await killAll(clock, cgroups, name);
    await removeCgroups(clock, cgroups, name);
  }
  for (const point of mountsBelow(home.runFolder)) unmount(point);
  await run('nft', ['-f', '-'], { input: ruleset(home.short, [], []) });
  // Nothing is mounted below it any more, or this would stop at the first mount point.
  if (basename(home.runFolder) === home.short) rmSync(home.runFolder, { recursive: true, force: true });
}
