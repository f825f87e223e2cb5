/** Accidents: what happens to whole processes, the network, clocks and the machine, at random times. */
import type { Random } from '@atelier/api';
import type { PlaneHost } from './processes/plane-host.ts';
import type { RunnerHost } from './processes/runner-host.ts';
import { clockErrorMsMax, type FaultKind, type WorldFaults } from './world/faults.ts';
import type { Direction } from './world/network.ts';
import { between, pick } from './world/random.ts';
import type { SimulatedProcess } from './world/process.ts';
import type { World } from './world/world.ts';

const callsMax = 40;
/** How long a silent runner keeps its lease; see the plane's end of the link. */
const leaseMs = 60_000;

/** One kind of accident: how often it comes, which it is this time, and what it does. */
interface Accident {
  readonly meanMs: (faults: WorldFaults) => number;
  readonly kind: () => FaultKind | undefined;
  readonly happen: (kind: FaultKind) => void;
}

/** Lets accidents happen from now on, at the mean times that the world's faults say. */
export function startAccidents(world: World, plane: PlaneHost, runner: RunnerHost): void {
  const random = world.random('accidents');
  for (const accident of [
    ...processAccidents(world, plane, runner),
    ...networkAccidents(world),
    ...machineAccidents(world, runner),
  ]) {
    repeat(world, random, accident);
  }
}

function repeat(world: World, random: Random, accident: Accident): void {
  const next = (): void => {
    const meanMs = accident.meanMs(world.faults);
    if (!Number.isFinite(meanMs)) return;
    world.clock.timer(-Math.log(1 - random()) * meanMs, () => {
      // The world has calmed down meanwhile.
      if (!Number.isFinite(accident.meanMs(world.faults))) return;
      const kind = accident.kind();
      if (kind !== undefined && world.happens(kind)) accident.happen(kind);
      next();
    });
  };
  next();
}

function processAccidents(world: World, plane: PlaneHost, runner: RunnerHost): Accident[] {
  const random = world.random('process accidents');
  // In the middle of what it does, so that every await is a place to die at.
  const kill = (process: SimulatedProcess | undefined): void =>
    process?.killDuring({ afterCalls: between(random, 1, callsMax), effect: random() < 0.5 });
  return [
    {
      meanMs: (faults) => faults.runnerCrashMeanMs,
      kind: () => 'runner-crash',
      happen: () => kill(runner.process),
    },
    {
      meanMs: (faults) => faults.planeCrashMeanMs,
      kind: () => 'plane-crash',
      happen: () => kill(plane.process),
    },
    {
      meanMs: (faults) => faults.pauseMeanMs,
      kind: () => (random() < 0.7 ? 'runner-pause' : 'plane-pause'),
      happen(kind) {
        const ms = Math.ceil(world.faults.pauseMs * random());
        if (ms > leaseMs) world.meet('lease-lost');
        (kind === 'runner-pause' ? runner : plane).process?.pause(ms);
      },
    },
  ];
}

const cuts = {
  partition: ['up', 'down'],
  'partition-up': ['up'],
  'partition-down': ['down'],
} as const satisfies Partial<Record<FaultKind, readonly Direction[]>>;

function networkAccidents(world: World): Accident[] {
  const random = world.random('network accidents');
  const { network } = world;
  const partition = (kind: FaultKind): void => {
    const lastsMs = world.faults.partitionMs * (0.2 + random());
    if (lastsMs > leaseMs) world.meet('lease-lost');
    network.partition(cuts[kind as keyof typeof cuts]);
    const delivers = random() < 0.5;
    world.clock.timer(lastsMs, () => network.heal(delivers));
  };
  return [
    {
      meanMs: (faults) => faults.partitionMeanMs,
      kind: () =>
        network.partitioned ? undefined : pick(random, ['partition', 'partition-up', 'partition-down']),
      happen: partition,
    },
  ];
}

function machineAccidents(world: World, runner: RunnerHost): Accident[] {
  const random = world.random('machine accidents');
  const forAWhile = (lastsMs: number, set: (to: boolean) => void): void => {
    set(true);
    world.clock.timer(lastsMs * random(), () => set(false));
  };
  return [
    {
      meanMs: (faults) => faults.storeDownMeanMs,
      kind: () => 'store-down',
      happen: () => forAWhile(world.faults.storeDownMs, (to) => (world.storeIsDown = to)),
    },
    {
      meanMs: (faults) => faults.diskFullMeanMs,
      kind: () => 'disk-full',
      happen: () => forAWhile(world.faults.diskFullMs, (to) => (world.diskIsFull = to)),
    },
    {
      meanMs: (faults) => faults.clockJumpMeanMs,
      kind: () => 'clock-jump',
      happen() {
        const whose = random() < 0.7 ? 'runner' : 'plane';
        world.clockErrorMs[whose] = between(random, -clockErrorMsMax, clockErrorMsMax);
      },
    },
    {
      meanMs: (faults) => faults.sleepMeanMs,
      kind: () => 'sleep',
      happen: () => world.clock.sleep(Math.ceil(world.faults.sleepMs * random())),
    },
    {
      meanMs: (faults) => faults.rebootMeanMs,
      kind: () => 'reboot',
      happen() {
        world.machine.reboot();
        runner.process?.kill();
      },
    },
  ];
}
