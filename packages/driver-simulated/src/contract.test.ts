import { systemClock, systemRandom } from '@atelier/api/system';
import {
  diskDriverSuite,
  imageDriverSuite,
  instanceDriverSuite,
  networkDriverSuite,
  type DriverSubject,
} from '@atelier/driver/suite';
import { createSimulatedDriver } from './driver.ts';
import { SimulatedMachine } from './machine.ts';

async function simulatedSubject(): Promise<DriverSubject> {
  const options = { clock: systemClock, random: systemRandom };
  const machine = new SimulatedMachine(options);
  let driver = createSimulatedDriver({ ...options, machine });
  const imageReference = 'localhost/suite/one:latest';
  return {
    driver,
    async reopen() {
      await driver.close();
      driver = createSimulatedDriver({ ...options, machine });
      return driver;
    },
    imageReference,
    imageDigest: machine.addImage(imageReference),
    otherImageDigest: machine.addImage('localhost/suite/two:latest'),
    supervisorPresent: true,
    workspace: {
      write: async (environmentId, path, text) =>
        void machine.disks.get(environmentId)?.workspace.set(path, text),
      list: async (environmentId) =>
        [...(machine.disks.get(environmentId)?.workspace.keys() ?? [])].toSorted(),
    },
    kill: async (name) => machine.kill(name),
    leftovers: async () => [...machine.disks.keys(), ...machine.networks.keys(), ...machine.instances.keys()],
    close: () => driver.close(),
  };
}

diskDriverSuite('driver-simulated', simulatedSubject);
networkDriverSuite('driver-simulated', simulatedSubject);
imageDriverSuite('driver-simulated', simulatedSubject);
instanceDriverSuite('driver-simulated', simulatedSubject);
