/**
 * What a driver's author gives to the contract suites: a driver on a place of its own and the few things
 * that the interfaces have no word for. The suites know nothing else of a driver.
 */
import { makeId } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { expect } from 'vitest';
import type { Driver } from '../driver.ts';
import type { InstanceStart } from '../instance.ts';

/** One driver under test, with a home that nobody else uses. */
export interface DriverSubject {
  readonly driver: Driver;
  /** Closes the present driver object as a killed process would leave it, and opens another on the same place. */
  reopen(): Promise<Driver>;
  /** Digest of an image that is here. Its instances run until they are stopped. */
  readonly imageDigest: string;
  /** A reference that `images.ensure` resolves to `imageDigest` without a network. */
  readonly imageReference: string;
  /** Digest of a second image that is here; it differs from the first. */
  readonly otherImageDigest: string;
  /** Whether PID 1 is a supervisor that dials; without it the cases about links are left out. */
  readonly supervisorPresent: boolean;
  /** The files of a disk's workspace, which the interfaces deliberately have no door to. Paths are relative to it. */
  readonly workspace: {
    write(environmentId: string, path: string, text: string): Promise<void>;
    /** Paths of all files, sorted. */
    list(environmentId: string): Promise<string[]>;
  };
  /** Ends everything in an instance from outside, as the kernel would. Returns when nothing of it runs. */
  kill(instanceName: string): Promise<void>;
  /**
   * Names everything that the machine still has of this home's environments: mounts, processes, cgroups,
   * interfaces, addresses, uid ranges, files. Images do not count.
   */
  leftovers(): Promise<string[]>;
  /** Takes the place away with everything on it. */
  close(): Promise<void>;
}

/** Makes a subject; called once per suite. */
export type DriverFactory = () => Promise<DriverSubject>;

/** A digest that no image has. */
export const absentDigest = `sha256:${'0'.repeat(64)}`;

/** An environment id that nothing was made for yet. */
export function freshId(): string {
  return makeId(systemClock.nowMs(), systemRandom);
}

/** The start of an environment's main instance on generation 1, with what a case wants to be different. */
export function mainStart(environmentId: string, different: Partial<InstanceStart> = {}): InstanceStart {
  return {
    name: `${environmentId}-main-1`,
    environmentId,
    root: { kind: 'disk', generation: 1 },
    mounts: [{ kind: 'workspace', target: '/workspaces/suite' }],
    network: 'none',
    environment: { ATELIER_BOOT: `boot-${environmentId}` },
    hostname: 'suite',
    limits: { cpuWeight: 100, memoryBytesMax: 512 * 1024 * 1024, processesMax: 256 },
    ...different,
  };
}

/** An environment with a disk and a root layer of generation 1. */
export async function madeDisk(subject: DriverSubject, driver = subject.driver): Promise<string> {
  const environmentId = freshId();
  await driver.disks.ensure(environmentId);
  await driver.disks.ensureGeneration(environmentId, 1, subject.imageDigest);
  return environmentId;
}

/** Expects that a call fails with one code of the closed set. */
export async function expectCode(call: Promise<unknown>, code: string): Promise<void> {
  await expect(call).rejects.toMatchObject({ name: 'AtelierError', code });
}

/** Takes away everything that a suite made: in the order in which the runner would, by what `list` shows. */
export async function removeEverything(driver: Driver): Promise<void> {
  for (const instance of await driver.instances.list()) await driver.instances.remove(instance.name);
  for (const network of await driver.networks.list()) await driver.networks.remove(network.environmentId);
  for (const disk of await driver.disks.list()) await driver.disks.remove(disk.environmentId);
  for (const owner of (await driver.images.listPins()).keys()) await driver.images.unpin(owner);
}
