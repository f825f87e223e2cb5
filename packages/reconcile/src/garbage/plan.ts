/** What is left over on a runner's machine and may go. */
import { parseInstanceName } from '@atelier/api';

/** Holds what is being made until it is desired or done. */
export interface Lease {
  /** An instance name or an environment id. */
  readonly owner: string;
  readonly expiresAtMs: number;
}

/** What a garbage pass looks at. List first and read leases and ids afterwards, or something new looks left over. */
export interface GarbageFacts {
  /** Every environment of the desired set, the stopped ones and those being deleted included. */
  readonly environmentIds: ReadonlySet<string>;
  /** Environments whose deletion somebody asked for and that the desired set does not have any more. */
  readonly tombstones: ReadonlySet<string>;
  readonly leases: readonly Lease[];
  /** What the drivers list: environment ids of disks and networks, names of instances, owners of pins. */
  readonly disks: readonly string[];
  readonly networks: readonly string[];
  readonly instances: readonly string[];
  readonly pins: readonly string[];
  /** `suspects` of the pass before; empty in the first. */
  readonly suspects: ReadonlyMap<string, number>;
  readonly nowMs: number;
}

/** What a garbage pass found. Removals are in the order in which they are to be made. */
export interface GarbagePlan {
  readonly instances: readonly string[];
  readonly networks: readonly string[];
  readonly pins: readonly string[];
  /** Disks whose deletion was asked for. */
  readonly disks: readonly string[];
  /** Disks that nobody wishes for and nobody deleted: kept, for a person to look at. */
  readonly orphanDisks: readonly string[];
  /** How many passes in a row something was left over; give it to the next pass. */
  readonly suspects: ReadonlyMap<string, number>;
}

/** How many passes something of an unknown environment is left alone. */
export const gracePasses = 2;

/**
 * Decides what goes. Throw-away instances without a lease go at once: a lease is taken before one is made.
 * Instances, networks and pins of environments that are not desired go after two passes in which they were
 * left over too, so that a desired set that is just being loaded costs nothing; a network waits for its
 * instances, a pin for its disk. A disk goes only when a tombstone names it; any other that is not desired is
 * reported. What belongs to a desired environment is the business of its own plan.
 */
export function planGarbage(facts: GarbageFacts): GarbagePlan {
  const suspects = new Map<string, number>();
  const leased = new Set(
    facts.leases.filter(({ expiresAtMs }) => expiresAtMs > facts.nowMs).map(({ owner }) => owner),
  );
  const isLeftOver = (id: string): boolean => !facts.environmentIds.has(id) && !leased.has(id);
  const isOverdue = (kind: string, name: string): boolean => {
    const key = `${kind} ${name}`;
    const count = (facts.suspects.get(key) ?? 0) + 1;
    suspects.set(key, count);
    return count > gracePasses;
  };
  const instanceGoes = (name: string): boolean => {
    const parsed = parseInstanceName(name);
    const id = parsed?.environmentId ?? name;
    if (leased.has(name) || leased.has(id)) return false;
    if (parsed !== undefined && parsed.part !== 'main') return true;
    return isLeftOver(id) && isOverdue('instance', name);
  };
  const inUse = new Set(facts.instances.map((name) => parseInstanceName(name)?.environmentId ?? name));
  const onDisk = new Set(facts.disks);
  const leftDisks = facts.disks.filter(isLeftOver);
  return {
    instances: facts.instances.filter(instanceGoes),
    networks: facts.networks.filter((id) => isLeftOver(id) && isOverdue('network', id) && !inUse.has(id)),
    pins: facts.pins.filter((id) => isLeftOver(id) && isOverdue('pin', id) && !onDisk.has(id)),
    disks: leftDisks.filter((id) => facts.tombstones.has(id) && !inUse.has(id)),
    orphanDisks: leftDisks.filter((id) => !facts.tombstones.has(id)),
    suspects,
  };
}
