/** The first steps that most tests of this driver take with an environment. */
import type { Instance, InstanceStart, NetworkPolicy } from '@atelier/driver';
import { makeId } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { makeSubject, whyNotHere, type OciSubject } from './test-subject.ts';

/** A subject that is made before the tests of a group, and emptied and looked over after each of them. */
export interface Place {
  /** The subject; only while tests run. */
  subject(): OciSubject;
  /** An environment with a disk; with a policy also with a network. Gives its id. */
  environment(policy?: NetworkPolicy): Promise<string>;
  /** Starts its main instance, with what should be different. */
  start(environmentId: string, different?: Partial<InstanceStart>): Promise<Instance>;
}

/** A group of tests on a subject of its own; left out with the reason where they cannot run. */
export function describePlace(name: string, tests: (place: Place) => void): void {
  const why = whyNotHere();
  describe.skipIf(why !== undefined)(why === undefined ? name : `${name} (left out: ${why})`, () => {
    let subject: OciSubject;
    beforeAll(async () => {
      subject = await makeSubject();
    });
    afterEach(async () => {
      const { instances, networks, disks } = subject.driver;
      for (const each of await instances.list()) await instances.remove(each.name);
      for (const each of await networks.list()) await networks.remove(each.environmentId);
      for (const each of await disks.list()) await disks.remove(each.environmentId);
      expect(await subject.leftovers()).toEqual([]);
    });
    afterAll(() => subject.close());
    tests({
      subject: () => subject,
      async environment(policy) {
        const id = makeId(systemClock.nowMs(), systemRandom);
        await subject.driver.disks.ensure(id);
        await subject.driver.disks.ensureGeneration(id, 1, subject.imageDigest);
        if (policy !== undefined) await subject.driver.networks.ensure(id, policy);
        return id;
      },
      async start(environmentId, different = {}) {
        const networks = await subject.driver.networks.list();
        const attached = networks.some((network) => network.environmentId === environmentId);
        return subject.driver.instances.start({
          name: `${environmentId}-main-1`,
          environmentId,
          root: { kind: 'disk', generation: 1 },
          mounts: [{ kind: 'workspace', target: '/workspaces/test' }],
          network: attached ? 'attached' : 'none',
          environment: { GREETING: 'hello world' },
          hostname: 'test-host',
          limits: { cpuWeight: 100, memoryBytesMax: 256 << 20, processesMax: 200 },
          ...different,
        });
      },
    });
  });
}
