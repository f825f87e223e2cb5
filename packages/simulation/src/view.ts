/** What the oracles see of a world: the machine, the store and the runner's disk as they are. */
import type { EnvironmentSpec, EnvironmentStatus } from '@atelier/api/gitpod/environment';
import type { SimulatedInstance, SimulatedMachine } from '@atelier/driver-simulated';

/** One environment as its user sees it: the row of the plane's store. */
export interface EnvironmentView {
  readonly id: string;
  readonly spec: EnvironmentSpec;
  readonly status: EnvironmentStatus;
  /** Files that its user wrote, each with the content session that it was written in. */
  readonly work: ReadonlyMap<string, string>;
}

/** A world at one moment. */
export interface WorldView {
  readonly nowMs: number;
  /** Time since the world began, without that of the machine's sleep. */
  readonly awakeForMs: number;
  readonly machine: SimulatedMachine;
  /** Running instances by environment. */
  readonly running: ReadonlyMap<string, readonly SimulatedInstance[]>;
  /** Every environment that the store has. */
  readonly environments: ReadonlyMap<string, EnvironmentView>;
  /** Ids that the store once had and has no more. */
  readonly goneIds: ReadonlySet<string>;
  /** Ids that the runner's disk has records or logs of. */
  readonly recordedIds: ReadonlySet<string>;
  /** Whether runner and plane run, are linked, and can write: nothing hinders them. */
  readonly connected: boolean;
  /** Whether anything has gone wrong so far. */
  readonly isSpoilt: boolean;
  /** How often the machine has lost its power. */
  readonly reboots: number;
}

/** A rule that was broken: which, by what, when. */
export interface Violation {
  readonly oracle: string;
  readonly atMs: number;
  /** How long the world had been awake. */
  readonly awakeForMs: number;
  readonly environmentId: string;
  readonly message: string;
}

/** One rule. It may remember what it saw, so that it can speak about time. */
export interface Oracle {
  readonly name: string;
  check(view: WorldView, found: (environmentId: string, message: string) => void): void;
}

/** Something on a machine, with the environment that it was made for. */
export interface Thing {
  readonly id: string;
  readonly kind: 'disk' | 'network' | 'instance' | 'pin of';
  readonly name: string;
}

const idLength = 36;

/** Everything that is on a machine. */
export function* thingsOn(machine: SimulatedMachine): Iterable<Thing> {
  for (const id of machine.disks.keys()) yield { id, kind: 'disk', name: id };
  for (const id of machine.networks.keys()) yield { id, kind: 'network', name: id };
  for (const { start } of machine.instances.values()) {
    yield { id: start.environmentId, kind: 'instance', name: start.name };
  }
  // An owner is an environment or an instance, whose name begins with its environment.
  for (const name of machine.pins.keys()) yield { id: name.slice(0, idLength), kind: 'pin of', name };
}
