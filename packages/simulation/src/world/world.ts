/** One simulated world: clock, chance, machine, disk, database, network, and the counts of what happened in it. */
import { createHash, type Hash } from 'node:crypto';
import type { Random } from '@atelier/api';
import { SimulatedMachine, type FaultRule, type SimulatedFaults } from '@atelier/driver-simulated';
import type { SyncRequest, SyncResponse } from '@atelier/api/atelier/runner_link';
import { MemoryDatabase } from '../store/memory-database.ts';
import { SimulatedClock } from './clock.ts';
import { SimulatedDisk } from './disk.ts';
import { calmWorld, faultKinds, type FaultKind, type WorldFaults } from './faults.ts';
import { SimulatedNetwork } from './network.ts';
import { seededRandom } from './random.ts';

/** The first moment of every world. */
const startMs = Date.UTC(2026, 0, 1);

/** A world; what lives in it are the processes of `processes/`. */
export class World {
  readonly seed: number;
  readonly clock = new SimulatedClock(startMs);
  readonly machine: SimulatedMachine;
  readonly driverFaults: SimulatedFaults = { rules: [] };
  readonly disk: SimulatedDisk;
  readonly database = new MemoryDatabase();
  readonly network: SimulatedNetwork<SyncRequest, SyncResponse>;
  /** What goes wrong now; replaced when the world calms down. */
  faults: WorldFaults = calmWorld;
  readonly counts = new Map<FaultKind, number>(faultKinds.map((kind) => [kind, 0]));
  readonly #trace: Hash = createHash('sha256');

  readonly #tell: ((atMs: number, line: string) => void) | undefined;

  /** `tell` hears of every line that the digest is made of, and of details between them. */
  constructor(seed: number, tell?: (atMs: number, line: string) => void) {
    this.seed = seed;
    this.#tell = tell;
    const clock = this.clock;
    this.machine = new SimulatedMachine({ clock, random: this.random('machine') });
    this.disk = new SimulatedDisk({
      clock,
      random: this.random('disk'),
      writeMsMax: 20,
      errorProbability: () => this.faults.diskError,
      onError: () => this.fault('disk-error'),
    });
    this.network = new SimulatedNetwork({
      clock,
      random: this.random('network'),
      latencyMsMax: 100,
      dropProbability: () => this.faults.connectionDrop,
      onDrop: () => this.fault('connection-drop'),
    });
    this.driverFaults.onFault = (method, { kind, ...rest }) => {
      this.detail(`driver ${method} ${kind}`);
      if (kind === 'lost-answer') this.fault('driver-lost-answer');
      else if (kind === 'delay') this.fault('driver-delay');
      else
        this.fault(
          'code' in rest && rest.code === 'failed_precondition' ? 'driver-final-error' : 'driver-error',
        );
    };
  }

  /** The stream of chance of one part of this world. */
  random(name: string): Random {
    return seededRandom(this.seed, name);
  }

  /** Lets these faults happen from now on. */
  setFaults(faults: WorldFaults): void {
    this.faults = faults;
    this.driverFaults.rules = driverRules(faults);
    const { behaviour } = this.machine;
    const counted = (kind: FaultKind): void => this.fault(kind);
    Object.assign(behaviour, {
      linkDelayMs: 200,
      linkNeverProbability: faults.linkNever,
      linkDropProbability: faults.linkDrop,
      linkDropWithinMs: 20 * 60_000,
      deathProbability: faults.instanceDeath,
      deathWithinMs: faults.instanceDeathWithinMs,
      onMisfortune: counted,
      terminateMs: 500,
      shutdownMs: 1000,
      lifecycleMs: 5000,
      lifecycleExitCode: (_: string, random: Random) => {
        if (faults.lifecycleFailure === 0 || random() >= faults.lifecycleFailure) return 0;
        this.fault('lifecycle-failure');
        return 1;
      },
      serviceReadyMs: 2000,
      serviceStopMs: 500,
      executionMs: 3000,
      programMs: 1500,
    });
  }

  /** Counts a fault. */
  fault(kind: FaultKind): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.note(`fault ${kind}`);
  }

  /** Adds a line to what the digest is made of. */
  note(line: string): void {
    this.#trace.update(`${this.clock.nowMs() - startMs} ${line}\n`);
    this.detail(line);
  }

  /** Says something that only a person who reads a run wants to know. */
  detail(line: string): void {
    this.#tell?.(this.clock.nowMs(), line);
  }

  /** The digest of everything that was noted so far. */
  digest(): string {
    return this.#trace.copy().digest('hex').slice(0, 16);
  }
}

function driverRules(faults: WorldFaults): FaultRule[] {
  const rule = (probability: number, fault: FaultRule['fault']): FaultRule[] =>
    probability > 0 ? [{ methods: '*', fault, when: { probability } }] : [];
  return [
    ...rule(faults.driverError, { kind: 'error', code: 'unavailable' }),
    ...rule(faults.driverFinalError, { kind: 'error', code: 'failed_precondition' }),
    ...rule(faults.driverLostAnswer, { kind: 'lost-answer' }),
    ...rule(faults.driverDelay, { kind: 'delay', delayMs: faults.driverDelayMs }),
  ];
}
