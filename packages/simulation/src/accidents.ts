/** Accidents: what happens to whole processes, the network and the machine, at random times. */
import type { PlaneHost } from './processes/plane-host.ts';
import type { RunnerHost } from './processes/runner-host.ts';
import { between } from './world/random.ts';
import type { SimulatedProcess } from './world/process.ts';
import type { World } from './world/world.ts';

const callsMax = 40;

/** Lets accidents happen from now on, at the mean times that the world's faults say. */
export function startAccidents(world: World, plane: PlaneHost, runner: RunnerHost): void {
  const random = world.random('accidents');
  const repeat = (meanMs: () => number, happen: () => void): void => {
    if (!Number.isFinite(meanMs())) return;
    world.clock.timer(-Math.log(1 - random()) * meanMs(), () => {
      // The world has calmed down meanwhile.
      if (!Number.isFinite(meanMs())) return;
      happen();
      repeat(meanMs, happen);
    });
  };
  // In the middle of what it does, so that every await is a place to die at.
  const kill = (process: SimulatedProcess | undefined): void =>
    process?.killDuring({ afterCalls: between(random, 1, callsMax), effect: random() < 0.5 });
  repeat(
    () => world.faults.runnerCrashMeanMs,
    () => {
      world.fault('runner-crash');
      kill(runner.process);
    },
  );
  repeat(
    () => world.faults.planeCrashMeanMs,
    () => {
      world.fault('plane-crash');
      kill(plane.process);
    },
  );
  repeat(
    () => world.faults.rebootMeanMs,
    () => {
      world.fault('reboot');
      world.machine.reboot();
      runner.process?.kill();
    },
  );
  repeat(
    () => world.faults.partitionMeanMs,
    () => {
      if (world.network.partitioned) return;
      world.fault('partition');
      world.network.partitioned = true;
      world.clock.timer(world.faults.partitionMs * (0.2 + random()), () => world.network.heal());
    },
  );
}
