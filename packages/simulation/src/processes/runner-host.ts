/** The machine of the runner: it runs the real runner over driver, disk and network, and again after a crash. */
import type { Random } from '@atelier/api';
import type { Driver } from '@atelier/driver';
import { createSimulatedDriver } from '@atelier/driver-simulated';
import { defaultDeadlines, type PassOutcome } from '@atelier/reconcile';
import {
  createRunner,
  defaultPlaneLinkSettings,
  noKeys,
  type LedgerStorage,
  type RecordStorage,
  type Runner,
  type RunnerOptions,
  type RunnerSettings,
} from '@atelier/runner';
import { SimulatedProcess } from '../world/process.ts';
import { between } from '../world/random.ts';
import type { World } from '../world/world.ts';
import { ledgerStorage, logStorage, recordStorage } from './runner-storage.ts';

const restartMs = 3000;
const driverLatencyMsMax = 40;
const limits = { cpuWeight: 100, memoryBytesMax: 4 * 1024 ** 3, processesMax: 4096 };

const settings: RunnerSettings = {
  deadlines: defaultDeadlines,
  networkPolicy: { egress: 'internet', privateRanges: false },
  limits,
  throwawayLimits: limits,
  home: '',
  link: defaultPlaneLinkSettings,
  reportIntervalMs: 500,
  garbageIntervalMs: 5 * 60_000,
  concurrency: 8,
  backoff: { initialMs: 500, maxMs: 30_000 },
};

/** What a planted defect changes between the runner and its world. */
export interface RunnerDefect {
  driver?(driver: Driver, world: World): Driver;
  ledger?(ledger: LedgerStorage, world: World): LedgerStorage;
  records?(records: RecordStorage, world: World): RecordStorage;
}

/** What a runner of a world is made of. */
export interface RunnerHostOptions {
  readonly world: World;
  readonly runnerId: string;
  readonly defect?: RunnerDefect | undefined;
  readonly onOutcome: (outcome: PassOutcome) => void;
  readonly onPlan: NonNullable<RunnerOptions['onPlan']>;
}

/** The runner of a world. */
export class RunnerHost {
  /** The present run; undefined between a crash and the restart. */
  process: SimulatedProcess | undefined;
  runner: Runner | undefined;
  readonly #options: RunnerHostOptions;
  readonly #random: Random;
  readonly #logs = logStorage();

  constructor(options: RunnerHostOptions) {
    this.#options = options;
    this.#random = options.world.random('runner');
  }

  /** Starts the runner; it is started again a while after each crash. */
  start(): void {
    const { world, runnerId, defect = {}, onOutcome, onPlan } = this.#options;
    const process = new SimulatedProcess(world.clock);
    this.process = process;
    const { clock, machine, driverFaults: faults } = world;
    const raw = createSimulatedDriver({ clock, random: world.random('driver faults'), machine, faults });
    const driver = defect.driver?.(raw, world) ?? raw;
    process.onKill(() => {
      this.process = undefined;
      this.runner = undefined;
      void raw.close();
      world.disk.crash();
      world.clock.timer(restartMs, () => this.start());
    });
    const ledger = ledgerStorage(world.disk);
    const records = recordStorage(world.disk);
    const runner = createRunner({
      clock: process.clock(() => world.clockErrorMs.runner),
      random: this.#random,
      driver: process.gate(driver, () => between(this.#random, 1, driverLatencyMsMax)),
      ledger: process.gate(defect.ledger?.(ledger, world) ?? ledger, () => 0),
      records: process.gate(defect.records?.(records, world) ?? records, () => 0),
      logs: process.gate(this.#logs, () => 0),
      localFolders: { look: async (path) => ({ kind: 'folder', path, subfolder: '' }) },
      dial: (requests, signal) => world.network.dial(process, requests, signal),
      sshKeys: noKeys,
      // Nobody seals anything here: a key of chance would make two runs of one seed differ.
      identity: { runnerId, publicKey: new Uint8Array(32), unseal: (sealed) => sealed },
      settings,
      capabilities: [],
      gatewayUrl: () => '',
      onOutcome: (outcome) => {
        if (process.alive) onOutcome(outcome);
      },
      onPlan,
    });
    this.runner = runner;
    // A runner that cannot start ends, and whoever supervises it starts it again.
    void runner.start().catch(() => process.kill());
  }
}
