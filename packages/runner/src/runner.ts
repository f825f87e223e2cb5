/**
 * The runner: it makes what its ledger wishes for come true on one driver, tells the plane, and goes on when
 * the plane is away. Everything that it touches is an argument, so that the simulation runs this very code.
 */
import { toAtelierError, type Clock, type Random, type Timer } from '@atelier/api';
import type { RunnerCapability } from '@atelier/api/gitpod/runner';
import { FieldValueSchema } from '@atelier/api/gitpod/field_value';
import type { Driver } from '@atelier/driver';
import type { EnvironmentAccess } from '@atelier/gateway';
import { createLoop, type Loop, type PassOutcome } from '@atelier/reconcile';
import { create } from '@bufbuild/protobuf';
import { environmentAccess } from './access.ts';
import type { LocalFolders } from './content/local-folder.ts';
import type { SshKeys } from './content/ssh-keys.ts';
import { EnvironmentPasses, type OnPlan } from './environment-loop.ts';
import type { EnvironmentSettings, RunnerParts } from './environment.ts';
import { GarbageCollector } from './garbage.ts';
import type { RunnerIdentity } from './identity.ts';
import { openLedger, type Ledger } from './ledger.ts';
import type { LogStorage } from './log-storage.ts';
import { createLogs } from './logs.ts';
import { createOutbox } from './plane-link/outbox.ts';
import {
  createPlaneLink,
  type Dial,
  type PlaneLink,
  type PlaneLinkSettings,
  type PlaneLinkState,
} from './plane-link/plane-link.ts';
import type { LedgerStorage, RecordStorage } from './storage.ts';

/** Paces and limits of a runner; times in milliseconds. */
export interface RunnerSettings extends EnvironmentSettings {
  readonly link: PlaneLinkSettings;
  /** An environment's state is sent once in this time on average. */
  readonly reportIntervalMs: number;
  readonly garbageIntervalMs: number;
  /** Passes that go on at once. */
  readonly concurrency: number;
  readonly backoff: { readonly initialMs: number; readonly maxMs: number };
}

/** What a runner is made of. */
export interface RunnerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly driver: Driver;
  readonly ledger: LedgerStorage;
  readonly records: RecordStorage;
  readonly logs: LogStorage;
  readonly localFolders: LocalFolders;
  readonly sshKeys: SshKeys;
  readonly dial: Dial;
  readonly identity: RunnerIdentity;
  readonly settings: RunnerSettings;
  readonly capabilities: readonly RunnerCapability[];
  /** Base URL of the gateway, asked when it is needed; empty while there is none. */
  readonly gatewayUrl: () => string;
  /** Told what a person who looks after the runner should know. */
  readonly report?: (message: string) => void;
  /** Called at each look for left-overs: takes away what a driver does not list. */
  readonly collect?: (() => Promise<void>) | undefined;
  /** Told after each pass, for logs and counters. */
  readonly onOutcome?: (outcome: PassOutcome) => void;
  /** Told of each plan before it is carried out. */
  readonly onPlan?: OnPlan;
}

/** A runner, before and after its start. */
export interface Runner {
  /** Reads the ledger, looks at every environment and dials. Throws what `openLedger` throws. */
  start(): Promise<void>;
  /** Ends passes, steps and links. Environments run on. */
  stop(): Promise<void>;
  /** Looks at an environment now. */
  wake(environmentId: string): void;
  /** How the runner stands with its plane. */
  planeState(): PlaneLinkState;
  /** The plane's key for environment access tokens; undefined before the first welcome. */
  tokenPublicKey(): Uint8Array | undefined;
  /** What the ways in need. */
  readonly access: EnvironmentAccess;
  /** Resolves when no pass goes on or waits; timers may. For tests. */
  settled(): Promise<void>;
}

/** Makes a runner; nothing happens before `start`. */
export function createRunner(options: RunnerOptions): Runner {
  return new RealRunner(options);
}

class RealRunner implements Runner {
  readonly access: EnvironmentAccess;
  private readonly options: RunnerOptions;
  private readonly stopping = new AbortController();
  private readonly logs: ReturnType<typeof createLogs>;
  private readonly outbox: ReturnType<typeof createOutbox>;
  private started: Started | undefined;

  constructor(options: RunnerOptions) {
    this.options = options;
    this.logs = createLogs(options.logs, options.clock);
    this.outbox = createOutbox(options.clock, options.settings.reportIntervalMs);
    const lookUp = { memoryOf: (id: string) => this.started?.passes.memoryOf(id) };
    this.access = environmentAccess({
      clock: options.clock,
      logs: this.logs,
      passes: lookUp,
      wake: (id) => this.wake(id),
    });
  }

  async start(): Promise<void> {
    const { options } = this;
    const ledger = await openLedger(options.ledger, options.identity.runnerId);
    if (ledger.problem !== undefined) this.report(ledger.problem);
    const parts: RunnerParts = {
      clock: options.clock,
      driver: options.driver,
      ledger,
      records: options.records,
      logs: this.logs,
      localFolders: options.localFolders,
      sshKeys: options.sshKeys,
      identity: options.identity,
      settings: options.settings,
      wake: (id) => this.wake(id),
    };
    const passes: EnvironmentPasses = new EnvironmentPasses({
      parts,
      outbox: this.outbox,
      holds: () => link.holds(),
      gatewayUrl: options.gatewayUrl,
      onPlan: options.onPlan ?? (() => undefined),
    });
    const loop = this.loopOver(passes);
    const link: PlaneLink = this.linkWith(ledger);
    const collector = new GarbageCollector({
      ...parts,
      passes,
      report: (message) => this.report(message),
    });
    this.started = { ledger, passes, loop, link, garbage: undefined };
    loop.wakeAll(await this.everyId(ledger));
    link.start();
    this.collectLater(collector, this.started);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    const { started } = this;
    if (started === undefined) return;
    started.garbage?.cancel();
    await started.link.stop();
    await started.loop.stop();
    await started.passes.stop();
  }

  wake(environmentId: string): void {
    if (!this.stopping.signal.aborted) this.started?.loop.wake(environmentId);
  }

  planeState(): PlaneLinkState {
    return this.started?.link.state() ?? { state: 'stopped', message: '', leaseUntilMs: 0 };
  }

  tokenPublicKey(): Uint8Array | undefined {
    const key = this.started?.ledger.welcome()?.tokenPublicKey;
    return key === undefined || key.length === 0 ? undefined : key;
  }

  async settled(): Promise<void> {
    await this.started?.loop.settled();
  }

  private loopOver(passes: EnvironmentPasses): Loop {
    const { clock, random, settings, onOutcome } = this.options;
    return createLoop({
      name: 'environments',
      reconcile: (id) => passes.pass(id),
      clock,
      random,
      concurrency: settings.concurrency,
      backoff: settings.backoff,
      ...(onOutcome === undefined ? {} : { onOutcome }),
    });
  }

  private linkWith(ledger: Ledger): PlaneLink {
    const { clock, random, dial, settings, identity, capabilities, gatewayUrl } = this.options;
    return createPlaneLink({
      clock,
      random,
      dial,
      ledger,
      outbox: this.outbox,
      settings: settings.link,
      describe: async () => ({
        runnerId: identity.runnerId,
        publicKey: identity.publicKey,
        gatewayUrl: gatewayUrl(),
        capabilities: [...capabilities],
        conditions: await this.conditions(ledger),
      }),
      onDesired: (ids) => this.started?.loop.wakeAll(ids),
      onReleased: () => this.started?.loop.wakeAll(ledger.ids()),
    });
  }

  private async conditions(ledger: Ledger) {
    const report = await this.options.driver.probe();
    const problems = report.problems.map((value) => create(FieldValueSchema, { key: 'problem', value }));
    const torn =
      ledger.problem === undefined
        ? []
        : [create(FieldValueSchema, { key: 'ledger', value: ledger.problem })];
    return [...report.conditions, ...problems, ...torn];
  }

  /** Everything that is wished for or written down: an environment may be only the one or the other. */
  private async everyId(ledger: Ledger): Promise<Set<string>> {
    return new Set([...(await this.options.records.list()), ...ledger.ids()]);
  }

  private collectLater(collector: GarbageCollector, started: Started): void {
    const { clock, settings } = this.options;
    started.garbage = clock.timer(settings.garbageIntervalMs, () => {
      void collector
        .pass()
        .then(() => this.options.collect?.())
        .catch((thrown: unknown) => this.report(toAtelierError(thrown).message))
        .finally(() => {
          if (!this.stopping.signal.aborted) this.collectLater(collector, started);
        });
    });
  }

  private report(message: string): void {
    this.options.report?.(message);
  }
}

interface Started {
  readonly ledger: Ledger;
  readonly passes: EnvironmentPasses;
  readonly loop: Loop;
  readonly link: PlaneLink;
  garbage: Timer | undefined;
}
