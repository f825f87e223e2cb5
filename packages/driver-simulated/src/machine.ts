/**
 * The machine of a simulated driver: everything that would be on disk or in the kernel. It outlives the
 * driver object, so that a runner that was killed finds all of it again.
 */
import { createHash } from 'node:crypto';
import { AtelierError, type Clock, type Random } from '@atelier/api';
import type { Image, ImageConfiguration, InstanceStart, Network, SupervisorLink } from '@atelier/driver';
import { calmBehaviour, type SimulatedBehaviour } from './behaviour.ts';
import { SimulatedInstance } from './instance.ts';
import type { Surroundings } from './surroundings.ts';
import type { SimulatedDisk, SimulatedRepository } from './workspace.ts';

/** What a machine is made of. */
export interface SimulatedMachineOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly behaviour?: Partial<SimulatedBehaviour> | undefined;
  /**
   * Repositories by their clone URL. One that is not named is there as well, with a single README, unless
   * its URL has the word `missing` in it.
   */
  readonly repositories?: Readonly<Record<string, SimulatedRepository>> | undefined;
}

/** The machine: state that tests and oracles may read, and the few things that happen to it from outside. */
export class SimulatedMachine implements Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly behaviour: SimulatedBehaviour;
  readonly repositories: Map<string, SimulatedRepository>;
  /** Images by digest. */
  readonly images = new Map<string, Image>();
  /** Digests by reference. */
  readonly references = new Map<string, string>();
  /** Digests by owner. */
  readonly pins = new Map<string, string>();
  readonly disks = new Map<string, SimulatedDisk>();
  readonly networks = new Map<string, Network>();
  readonly instances = new Map<string, SimulatedInstance>();
  readonly listeners = new Map<string, (link: SupervisorLink) => void>();
  /** Grows whenever something on the machine may have changed: who looks at it need not look again before. */
  version = 0;
  #lastPid = 1000;

  constructor(options: SimulatedMachineOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.behaviour = { ...calmBehaviour(), ...options.behaviour };
    this.repositories = new Map(Object.entries(options.repositories ?? {}));
  }

  /** See {@link SimulatedMachine.version}. */
  changed(): void {
    this.version += 1;
  }

  /** Puts an image here under a reference and gives its digest, which follows from both arguments. */
  addImage(reference: string, configuration: Partial<ImageConfiguration> = {}): string {
    const whole = { user: '', environment: [], workingDirectory: '', labels: {}, ...configuration };
    const hash = createHash('sha256')
      .update(JSON.stringify([reference, whole]))
      .digest('hex');
    const digest = `sha256:${hash}`;
    this.images.set(digest, { digest, configuration: whole, sizeBytes: 64 * 1024 * 1024 });
    this.references.set(reference, digest);
    return digest;
  }

  /** Starts PID 1; an ended instance of the same name gives way. */
  startInstance(start: InstanceStart): SimulatedInstance {
    this.#lastPid += 1;
    const instance = new SimulatedInstance(this, start, this.#lastPid);
    this.instances.set(start.name, instance);
    instance.begin();
    return instance;
  }

  /** Ends everything in an instance at once, as the kernel would. */
  kill(instanceName: string): void {
    this.instances.get(instanceName)?.finish('killed');
    this.changed();
  }

  /** Ends all instances and loses all attachments, as a power cut would; disks, images and pins stay. */
  reboot(): void {
    for (const instance of this.instances.values()) instance.finish('unknown');
    this.instances.clear();
    this.networks.clear();
    this.changed();
  }

  /** The disk; `not_found` when there is none. */
  requireDisk(environmentId: string): SimulatedDisk {
    const disk = this.disks.get(environmentId);
    if (disk !== undefined) return disk;
    throw new AtelierError('not_found', `Environment ${environmentId} has no disk. Make it first.`);
  }

  /** Running instances of an environment. */
  running(environmentId: string): SimulatedInstance[] {
    return [...this.instances.values()].filter(
      (instance) => instance.state === 'running' && instance.start.environmentId === environmentId,
    );
  }
}
