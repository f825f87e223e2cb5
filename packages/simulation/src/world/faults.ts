/** What goes wrong in a simulated world, how often, and the kinds of it. All chances are in [0, 1]. */

/** Chances and times of the faults of a world; mean times are those between two of a kind. */
export interface WorldFaults {
  /** A call of the driver has no effect; or its effect and no answer; or waits; or has its effect twice. */
  readonly driverError: number;
  readonly driverFinalError: number;
  readonly driverLostAnswer: number;
  readonly driverDelay: number;
  readonly driverDelayMs: number;
  readonly driverDuplicate: number;
  /** A call of the plane's store has no effect (also a commit that was lost), or its effect and no answer. */
  readonly storeError: number;
  readonly storeLostAnswer: number;
  /** The database answers nobody for a while. */
  readonly storeDownMeanMs: number;
  readonly storeDownMs: number;
  /** A write of the runner's disk fails with the old text kept, or is slow; or all fail for a while. */
  readonly diskError: number;
  readonly diskSlow: number;
  readonly diskSlowMs: number;
  readonly diskFullMeanMs: number;
  readonly diskFullMs: number;
  /** A message between runner and plane takes the connection with it, or arrives twice. */
  readonly connectionDrop: number;
  readonly messageDuplicate: number;
  /** A call of a user never arrives; or its answer does not; or it arrives twice; or after later ones. */
  readonly callLost: number;
  readonly callAnswerLost: number;
  readonly callDuplicate: number;
  readonly callLate: number;
  readonly callLateMs: number;
  readonly runnerCrashMeanMs: number;
  readonly planeCrashMeanMs: number;
  /** A process is stopped for a while and goes on as if nothing had happened. */
  readonly pauseMeanMs: number;
  readonly pauseMs: number;
  /** Nothing gets through between runner and plane, or only in one direction. */
  readonly partitionMeanMs: number;
  readonly partitionMs: number;
  /** The clock of one process is set to another time; the lid of the laptop is closed. */
  readonly clockJumpMeanMs: number;
  readonly sleepMeanMs: number;
  readonly sleepMs: number;
  /** Power cuts of the machine. */
  readonly rebootMeanMs: number;
  /** Inside: instances that die, links that break or never come, commands that fail. */
  readonly instanceDeath: number;
  readonly instanceDeathWithinMs: number;
  readonly linkDrop: number;
  readonly linkNever: number;
  readonly lifecycleFailure: number;
}

/** Every kind of fault that can be left out of a world. */
export const faultKinds = [
  'driver-error',
  'driver-final-error',
  'driver-lost-answer',
  'driver-delay',
  'driver-duplicate',
  'store-error',
  'store-lost-answer',
  'store-down',
  'disk-error',
  'disk-slow',
  'disk-full',
  'connection-drop',
  'message-duplicate',
  'call-lost',
  'call-answer-lost',
  'call-duplicate',
  'call-late',
  'runner-crash',
  'plane-crash',
  'runner-pause',
  'plane-pause',
  'partition',
  'partition-up',
  'partition-down',
  'clock-jump',
  'sleep',
  'reboot',
  'instance-death',
  'link-drop',
  'link-never',
  'lifecycle-failure',
] as const;

/** A kind of fault that is counted. */
export type FaultKind = (typeof faultKinds)[number];

/** Hard situations that follow from faults and from what users do, counted so that tests see that they are met. */
export const situationKinds = ['lease-lost', 'change-in-flight'] as const;

/** A kind of situation that is counted. */
export type SituationKind = (typeof situationKinds)[number];

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** How far a clock that was set is wrong at the most. */
export const clockErrorMsMax = 4 * minuteMs;

/** Every fault, each often enough to be met many times in a day. */
export const roughWorld: WorldFaults = {
  driverError: 0.02,
  driverFinalError: 0.001,
  driverLostAnswer: 0.02,
  driverDelay: 0.02,
  driverDelayMs: 20_000,
  driverDuplicate: 0.005,
  storeError: 0.005,
  storeLostAnswer: 0.005,
  storeDownMeanMs: 120 * minuteMs,
  storeDownMs: minuteMs,
  diskError: 0.005,
  diskSlow: 0.01,
  diskSlowMs: 15_000,
  diskFullMeanMs: 120 * minuteMs,
  diskFullMs: 3 * minuteMs,
  connectionDrop: 0.005,
  messageDuplicate: 0.01,
  callLost: 0.02,
  callAnswerLost: 0.02,
  callDuplicate: 0.03,
  callLate: 0.03,
  callLateMs: 2 * minuteMs,
  runnerCrashMeanMs: 20 * minuteMs,
  planeCrashMeanMs: 30 * minuteMs,
  pauseMeanMs: 60 * minuteMs,
  pauseMs: 2 * minuteMs,
  partitionMeanMs: 25 * minuteMs,
  partitionMs: 2 * minuteMs,
  clockJumpMeanMs: 60 * minuteMs,
  sleepMeanMs: 240 * minuteMs,
  sleepMs: 4 * hourMs,
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
  driverDuplicate: 0,
  storeError: 0,
  storeLostAnswer: 0,
  storeDownMeanMs: Infinity,
  storeDownMs: 0,
  diskError: 0,
  diskSlow: 0,
  diskSlowMs: 0,
  diskFullMeanMs: Infinity,
  diskFullMs: 0,
  connectionDrop: 0,
  messageDuplicate: 0,
  callLost: 0,
  callAnswerLost: 0,
  callDuplicate: 0,
  callLate: 0,
  callLateMs: 0,
  runnerCrashMeanMs: Infinity,
  planeCrashMeanMs: Infinity,
  pauseMeanMs: Infinity,
  pauseMs: 0,
  partitionMeanMs: Infinity,
  partitionMs: 0,
  clockJumpMeanMs: Infinity,
  sleepMeanMs: Infinity,
  sleepMs: 0,
  rebootMeanMs: Infinity,
  instanceDeath: 0,
  instanceDeathWithinMs: minuteMs,
  linkDrop: 0,
  linkNever: 0,
  lifecycleFailure: 0,
};
