/** One simulated world: clock, chance, machine, disk, database, network, and the counts of what happened in it. */
import { createHash, type Hash } from 'node:crypto';
import type { Random } from '@atelier/api';
import { SimulatedMachine, type FaultRule, type SimulatedFaults } from '@atelier/driver-simulated';
import type { SyncRequest, SyncResponse } from '@atelier/api/atelier/runner_link';
import { MemoryDatabase } from '../store/memory-database.ts';
import { SimulatedClock } from './clock.ts';
import { SimulatedDisk } from './disk.ts';
import {
  calmWorld,
  faultKinds,
  situationKinds,
  type FaultKind,
  type SituationKind,
  type WorldFaults,
} from './faults.ts';
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
  readonly counts = new Map<FaultKind | SituationKind, number>(
    [...faultKinds, ...situationKinds].map((kind) => [kind, 0]),
  );
  /** While true the database answers nobody. */
  storeIsDown = false;
  /** While true no write of the runner's disk succeeds. */
  diskIsFull = false;
  /** How far the clocks of the processes are wrong. */
  readonly clockErrorMs = { plane: 0, runner: 0 };
  /** Every fault that struck, as `<kind>#<number of its kind>`. */
  readonly struck: string[] = [];
  readonly #drawn = new Map<FaultKind, number>();
  readonly #permitted: ReadonlySet<string> | undefined;
  readonly #trace: Hash = createHash('sha256');

  readonly #tell: ((atMs: number, line: string) => void) | undefined;

  /**
   * `tell` hears of every line that the digest is made of, and of details between them. With `permitted` only
   * those faults strike, named as in `struck`.
   */
  constructor(
    seed: number,
    tell?: (atMs: number, line: string) => void,
    permitted?: ReadonlySet<string> | undefined,
  ) {
    this.seed = seed;
    this.#tell = tell;
    this.#permitted = permitted;
    const clock = this.clock;
    this.machine = new SimulatedMachine({ clock, random: this.random('machine') });
    const diskRandom = this.random('disk');
    this.disk = new SimulatedDisk({
      clock,
      random: diskRandom,
      writeMsMax: 20,
      fails: () => this.diskIsFull || this.strikes('disk-error', diskRandom, this.faults.diskError),
      delayMs: () =>
        this.strikes('disk-slow', diskRandom, this.faults.diskSlow)
          ? Math.ceil(diskRandom() * this.faults.diskSlowMs)
          : 0,
    });
    const networkRandom = this.random('network');
    this.network = new SimulatedNetwork({
      clock,
      random: networkRandom,
      latencyMsMax: 100,
      drops: () => this.strikes('connection-drop', networkRandom, this.faults.connectionDrop),
      doubles: () => this.strikes('message-duplicate', networkRandom, this.faults.messageDuplicate),
    });
    this.driverFaults.onFault = (method, { kind }) => this.detail(`driver ${method} ${kind}`);
  }

  /** Nothing goes wrong any more, and what was broken is mended. */
  calmDown(): void {
    this.setFaults(calmWorld);
    this.network.heal();
    this.storeIsDown = false;
    this.diskIsFull = false;
  }

  /** The stream of chance of one part of this world. */
  random(name: string): Random {
    return seededRandom(this.seed, name);
  }

  /** Lets these faults happen from now on. */
  setFaults(faults: WorldFaults): void {
    this.faults = faults;
    this.driverFaults.rules = this.#driverRules();
    const { behaviour } = this.machine;
    Object.assign(behaviour, {
      linkDelayMs: 200,
      linkNeverProbability: faults.linkNever,
      linkDropProbability: faults.linkDrop,
      linkDropWithinMs: 20 * 60_000,
      deathProbability: faults.instanceDeath,
      deathWithinMs: faults.instanceDeathWithinMs,
      permits: (kind: FaultKind) => this.happens(kind),
      terminateMs: 500,
      shutdownMs: 1000,
      lifecycleMs: 5000,
      lifecycleExitCode: (_: string, random: Random) =>
        this.strikes('lifecycle-failure', random, faults.lifecycleFailure) ? 1 : 0,
      serviceReadyMs: 2000,
      serviceStopMs: 500,
      executionMs: 3000,
      programMs: 1500,
    });
  }

  /** Whether a fault of this chance strikes now; then it is counted. What cannot happen draws nothing. */
  strikes(kind: FaultKind, random: Random, chance: number): boolean {
    return chance > 0 && random() < chance && this.happens(kind);
  }

  /** Whether an accident that is due is permitted; then it is counted. */
  happens(kind: FaultKind): boolean {
    const number = (this.#drawn.get(kind) ?? 0) + 1;
    this.#drawn.set(kind, number);
    const name = `${kind}#${number}`;
    if (this.#permitted?.has(name) === false) return false;
    this.struck.push(name);
    this.meet(kind);
    return true;
  }

  /** Counts a fault or situation that was met. */
  meet(kind: FaultKind | SituationKind): void {
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

  #driverRules(): FaultRule[] {
    const { faults } = this;
    const rule = (kind: FaultKind, chance: number, fault: FaultRule['fault']): FaultRule[] => {
      const decide = (random: Random): boolean => this.strikes(kind, random, chance);
      return chance > 0 ? [{ methods: '*', fault, when: { decide } }] : [];
    };
    return [
      ...rule('driver-error', faults.driverError, { kind: 'error', code: 'unavailable' }),
      ...rule('driver-final-error', faults.driverFinalError, { kind: 'error', code: 'failed_precondition' }),
      ...rule('driver-lost-answer', faults.driverLostAnswer, { kind: 'lost-answer' }),
      ...rule('driver-delay', faults.driverDelay, { kind: 'delay', delayMs: faults.driverDelayMs }),
      ...rule('driver-duplicate', faults.driverDuplicate, { kind: 'duplicate' }),
    ];
  }
}
