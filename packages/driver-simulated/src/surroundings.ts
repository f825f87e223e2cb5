/** What a simulated instance sees of its machine, and the parts of a machine that it shares. */
import type { Clock, Random } from '@atelier/api';
import type { SupervisorLink } from '@atelier/driver';
import type { SimulatedBehaviour } from './behaviour.ts';

/** One root layer. */
export interface SimulatedRootLayer {
  readonly imageDigest: string;
  /** Life-cycle commands that ran on this layer, by name and session, and their exit codes. */
  readonly lifecycle: Map<string, number>;
}

/** One disk. Files are texts by their path relative to the workspace. */
export interface SimulatedDisk {
  readonly environmentId: string;
  readonly generations: Map<number, SimulatedRootLayer>;
  workspace: Map<string, string>;
  /** Grows with each change of the workspace that a driver call or a program made. */
  workspaceVersion: number;
}

/** What a repository has in it, by path; what the built-in git answers a clone with. */
export type SimulatedRepository = Readonly<Record<string, string>>;

/** The machine as its instances see it. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly behaviour: SimulatedBehaviour;
  readonly repositories: ReadonlyMap<string, SimulatedRepository>;
  readonly disks: ReadonlyMap<string, SimulatedDisk>;
  /** Who waits for links of the instance, by its name. */
  readonly listeners: ReadonlyMap<string, (link: SupervisorLink) => void>;
}
