/** One run: a world with its processes, users and accidents, watched by the oracles. */
import { lintPlan, type PassOutcome } from '@atelier/reconcile';
import { startAccidents } from './accidents.ts';
import type { Violation } from './view.ts';
import { PlanCounts } from './plans.ts';
import { PlaneHost } from './processes/plane-host.ts';
import { RunnerHost, type RunnerDefect } from './processes/runner-host.ts';
import { ledgerIds } from './processes/runner-storage.ts';
import { unrest } from './rest.ts';
import { actionNames, repositories, User, type ActionName } from './users.ts';
import { Watch } from './watch.ts';
import {
  faultKinds,
  roughWorld,
  situationKinds,
  type FaultKind,
  type SituationKind,
  type WorldFaults,
} from './world/faults.ts';
import { World } from './world/world.ts';

/** What is run: a seed, a size, and what goes wrong. */
export interface RunOptions {
  readonly seed: number;
  /** Users, each with one environment at a time. */
  readonly environments: number;
  /** Hours with faults; then the world calms down and has to come to rest. */
  readonly hours: number;
  readonly faults?: WorldFaults | undefined;
  /** Only these users act: their numbers from 0. All when left out. */
  readonly users?: readonly number[] | undefined;
  /** Only these faults strike, named as in {@link RunReport.struck}. All when left out. */
  readonly permitted?: readonly string[] | undefined;
  /** A planted defect that the oracles must find. */
  readonly defect?: RunnerDefect | undefined;
  /** Hears of everything that happens: for a person who looks into a seed. */
  readonly tell?: ((atMs: number, line: string) => void) | undefined;
  /** Stops at the first violation. */
  readonly stopAtFirst?: boolean | undefined;
}

/** What came of a run, as counts and violations. */
export interface RunReport {
  readonly seed: number;
  readonly environmentHours: number;
  readonly passes: number;
  readonly faults: Readonly<Record<FaultKind | SituationKind, number>>;
  readonly actions: Readonly<Record<ActionName, number>>;
  /** How often each phase was entered, by its name. */
  readonly phases: Readonly<Record<string, number>>;
  /** How often the plans of the runner decided what, by the names in `plans.ts`. */
  readonly plans: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
  /** Every fault that struck, in order. */
  readonly struck: readonly string[];
  /** Equal for equal seeds and options. */
  readonly digest: string;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** Passes of one environment: its steps, their progress and retries are a tenth of it. */
const passesPerMinuteMax = 1000;
/** After the last fault everything has to come to rest within this time. */
const calmMs = 1.5 * hourMs;

/** Runs a world from its first moment to its rest. */
export async function simulate(options: RunOptions): Promise<RunReport> {
  const run = new Run(options);
  await run.go();
  return run.report();
}

class Run {
  readonly #options: RunOptions;
  readonly #world: World;
  readonly #plane: PlaneHost;
  readonly #runner: RunnerHost;
  readonly #users: User[];
  readonly #watch: Watch;
  readonly #plans = new PlanCounts();
  #passes = 0;
  /** Passes of each environment in the present minute. */
  #minute = 0;
  readonly #passesInMinute = new Map<string, number>();

  constructor(options: RunOptions) {
    this.#options = options;
    const permitted = options.permitted && new Set(options.permitted);
    this.#world = new World(options.seed, options.tell, permitted);
    for (const [url, files] of Object.entries(repositories)) this.#world.machine.repositories.set(url, files);
    this.#plane = new PlaneHost(this.#world);
    this.#runner = this.#makeRunner();
    this.#watch = new Watch({
      world: this.#world,
      plane: this.#plane,
      runner: this.#runner,
      workIn: (id) => this.#users.find(({ environmentId }) => environmentId === id)?.work ?? new Map(),
    });
    const userOptions = {
      world: this.#world,
      client: () => this.#plane.client,
      look: (id: string) => this.#watch.environment(id),
    };
    const numbers = options.users ?? Array.from({ length: options.environments }, (_, index) => index);
    this.#users = numbers.map((number) => new User(userOptions, `u${number}`));
  }

  async go(): Promise<void> {
    const world = this.#world;
    const startMs = world.clock.awakeMs();
    await this.#plane.prepare();
    world.setFaults(this.#options.faults ?? roughWorld);
    this.#plane.start();
    this.#runner.start();
    startAccidents(world, this.#plane, this.#runner);
    for (const user of this.#users) user.start();
    const roughEndMs = startMs + this.#options.hours * hourMs;
    await world.clock.runUntil(roughEndMs, () => this.#judge());
    if (this.#isOver()) return;
    world.calmDown();
    for (const user of this.#users) user.stop();
    await world.clock.runUntil(roughEndMs + calmMs, () => this.#judge());
    if (!this.#isOver()) this.#judgeRest();
  }

  report(): RunReport {
    const { seed, hours } = this.#options;
    const { counts, struck } = this.#world;
    const count = <Name extends string>(names: readonly Name[], of: (name: Name) => number) =>
      Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, number>;
    return {
      seed,
      environmentHours: this.#users.length * hours,
      passes: this.#passes,
      faults: count([...faultKinds, ...situationKinds], (kind) => counts.get(kind) ?? 0),
      actions: count(actionNames, (name) =>
        this.#users.reduce((sum, { actions }) => sum + (actions.get(name) ?? 0), 0),
      ),
      phases: this.#watch.phases,
      plans: this.#plans.counts,
      violations: this.#watch.violations,
      struck,
      digest: this.#world.digest(),
    };
  }

  #judgeRest(): void {
    const environments = this.#watch.environments();
    const knownIds = new Set(this.#users.flatMap((user) => user.environmentId ?? []));
    const rest = { world: this.#world, environments, knownIds, ledgerIds: ledgerIds(this.#world.disk) };
    for (const [id, what] of unrest(rest)) this.#watch.found('rest is rest', id, what);
  }

  #makeRunner(): RunnerHost {
    return new RunnerHost({
      world: this.#world,
      runnerId: this.#plane.runnerId,
      defect: this.#options.defect,
      onOutcome: ({ key, outcome }: PassOutcome) => {
        this.#passes += 1;
        this.#countPass(key);
        const why =
          outcome.kind === 'retry' ? String(outcome.error) : outcome.kind === 'failed' ? outcome.reason : '';
        this.#world.detail(`pass ${key} ${outcome.kind} ${why}`);
      },
      onPlan: (desired, observed, plan, nowMs) => {
        this.#plans.add(desired, plan);
        for (const finding of lintPlan(desired, observed, plan, nowMs)) {
          this.#watch.found('plans are sound', desired.environmentId, finding);
        }
      },
    });
  }

  /** A loop that never pauses burns its machine and finds nothing: that is a rule as well. */
  #countPass(key: string): void {
    const minute = Math.floor(this.#world.clock.awakeForMs() / minuteMs);
    if (minute !== this.#minute) this.#passesInMinute.clear();
    this.#minute = minute;
    const count = (this.#passesInMinute.get(key) ?? 0) + 1;
    this.#passesInMinute.set(key, count);
    if (count === passesPerMinuteMax) this.#watch.found('passes have pauses', key, `${count} in a minute`);
  }

  /** Asks the oracles; true when the run is over. */
  #judge(): boolean {
    this.#watch.look();
    return this.#isOver();
  }

  #isOver(): boolean {
    return this.#options.stopAtFirst === true && this.#watch.violations.length > 0;
  }
}
