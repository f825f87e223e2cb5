/** What a simulated instance sees of its machine. */
import type { Clock, Random } from '@atelier/api';
import type { SupervisorLink } from '@atelier/driver';
import type { SimulatedBehaviour } from './behaviour.ts';
import type { SimulatedDisk, SimulatedRepository } from './workspace.ts';

/** The machine as its instances see it. */
export interface Surroundings {
  readonly clock: Clock;
  /** Says that something on the machine may be another thing now. */
  changed(): void;
  readonly random: Random;
  readonly behaviour: SimulatedBehaviour;
  readonly repositories: ReadonlyMap<string, SimulatedRepository>;
  readonly disks: ReadonlyMap<string, SimulatedDisk>;
  /** Who waits for links of the instance, by its name. */
  readonly listeners: ReadonlyMap<string, (link: SupervisorLink) => void>;
}
