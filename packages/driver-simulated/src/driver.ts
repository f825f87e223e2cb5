/**
 * The simulated driver: the contract of `@atelier/driver` without a container. It serves development
 * without privileges, load tests and the simulation; whatever goes wrong in it is configuration.
 */
import type { Clock, Random } from '@atelier/api';
import { FieldValueSchema } from '@atelier/api/gitpod/field_value';
import type { Driver, DriverCapabilities } from '@atelier/driver';
import { create } from '@bufbuild/protobuf';
import { faultGate, type SimulatedFaults } from './faults.ts';
import { simulatedInstances, simulatedNetworks } from './instances.ts';
import { SimulatedMachine } from './machine.ts';
import { simulatedDisks, simulatedImages } from './storage.ts';

/** What a simulated driver is made of. */
export interface SimulatedDriverOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** The machine it works on; a new, empty one when left out. Give the same one again to re-open a driver. */
  readonly machine?: SimulatedMachine | undefined;
  /** What goes wrong; nothing when left out. */
  readonly faults?: SimulatedFaults | undefined;
  /** What it claims to enforce; everything when left out. */
  readonly capabilities?: Partial<DriverCapabilities> | undefined;
}

const everything: DriverCapabilities = {
  userNamespaces: true,
  cpuWeight: true,
  memoryLimit: true,
  processLimit: true,
  networkIsolation: true,
  imageBuild: true,
};

/** Opens a simulated driver. */
export function createSimulatedDriver(options: SimulatedDriverOptions): Driver {
  const { clock, random } = options;
  const machine = options.machine ?? new SimulatedMachine({ clock, random });
  const gate = faultGate(options.faults ?? { rules: [] }, clock, random, () => machine.changed());
  const capabilities = { ...everything, ...options.capabilities };
  const { instances, close } = simulatedInstances(machine, gate, capabilities);
  return {
    name: 'simulated',
    images: simulatedImages(machine, gate),
    disks: simulatedDisks(machine, gate),
    networks: simulatedNetworks(machine, gate, capabilities),
    instances,
    probe: () =>
      gate.call('probe', () => ({
        capabilities,
        conditions: [
          create(FieldValueSchema, {
            key: 'driver',
            value: 'The driver is simulated: environments have no processes and files of their own.',
          }),
        ],
        problems: [],
      })),
    async close() {
      gate.close();
      close();
    },
  };
}
