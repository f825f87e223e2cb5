/** What goes wrong in a simulated world, how often, and the counts of it. All chances are in [0, 1]. */

/** Chances and times of the faults of a world. */
export interface WorldFaults {
  /** A call of the driver fails and has had no effect; or has had it and its answer is lost; or waits. */
  readonly driverError: number;
  readonly driverFinalError: number;
  readonly driverLostAnswer: number;
  readonly driverDelay: number;
  readonly driverDelayMs: number;
  /** A call of the plane's store fails before its effect, or after it. */
  readonly storeError: number;
  readonly storeLostAnswer: number;
  /** A write of the runner's disk fails, with the old text kept. */
  readonly diskError: number;
  /** A message between runner and plane takes the connection with it. */
  readonly connectionDrop: number;
  /** Mean time between crashes of each process, and between partitions. */
  readonly runnerCrashMeanMs: number;
  readonly planeCrashMeanMs: number;
  readonly partitionMeanMs: number;
  readonly partitionMs: number;
  /** Mean time between power cuts of the machine. */
  readonly rebootMeanMs: number;
  /** Inside: instances that die, links that break or never come, commands that fail. */
  readonly instanceDeath: number;
  readonly instanceDeathWithinMs: number;
  readonly linkDrop: number;
  readonly linkNever: number;
  readonly lifecycleFailure: number;
}

/** Every kind of fault that is counted. */
export const faultKinds = [
  'driver-error',
  'driver-final-error',
  'driver-lost-answer',
  'driver-delay',
  'store-error',
  'store-lost-answer',
  'disk-error',
  'connection-drop',
  'runner-crash',
  'plane-crash',
  'partition',
  'reboot',
  'instance-death',
  'link-drop',
  'link-never',
  'lifecycle-failure',
] as const;

/** A kind of fault that is counted. */
export type FaultKind = (typeof faultKinds)[number];

const minuteMs = 60_000;

/** Every fault, each often enough to be met many times in a day. */
export const roughWorld: WorldFaults = {
  driverError: 0.02,
  driverFinalError: 0.001,
  driverLostAnswer: 0.02,
  driverDelay: 0.02,
  driverDelayMs: 20_000,
  storeError: 0.005,
  storeLostAnswer: 0.005,
  diskError: 0.005,
  connectionDrop: 0.005,
  runnerCrashMeanMs: 20 * minuteMs,
  planeCrashMeanMs: 30 * minuteMs,
  partitionMeanMs: 40 * minuteMs,
  partitionMs: 2 * minuteMs,
  rebootMeanMs: 180 * minuteMs,
  instanceDeath: 0.1,
  instanceDeathWithinMs: 30 * minuteMs,
  linkDrop: 0.3,
  linkNever: 0.01,
  lifecycleFailure: 0.2,
};

/** A world in which nothing goes wrong at all. */
export const calmWorld: WorldFaults = {
  driverError: 0,
  driverFinalError: 0,
  driverLostAnswer: 0,
  driverDelay: 0,
  driverDelayMs: 0,
  storeError: 0,
  storeLostAnswer: 0,
  diskError: 0,
  connectionDrop: 0,
  runnerCrashMeanMs: Infinity,
  planeCrashMeanMs: Infinity,
  partitionMeanMs: Infinity,
  partitionMs: 0,
  rebootMeanMs: Infinity,
  instanceDeath: 0,
  instanceDeathWithinMs: minuteMs,
  linkDrop: 0,
  linkNever: 0,
  lifecycleFailure: 0,
};
