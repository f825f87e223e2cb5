/** One run: a world with its processes, users and accidents, watched by the oracles. */
import { EnvironmentPhase, type Environment } from '@atelier/api/gitpod/environment';
import type { SimulatedInstance, SimulatedMachine } from '@atelier/driver-simulated';
import type { PassOutcome } from '@atelier/reconcile';
import { startAccidents } from './accidents.ts';
import { createOracles, type EnvironmentView, type Violation, type WorldView } from './oracles.ts';
import { PlaneHost } from './processes/plane-host.ts';
import { RunnerHost, type RunnerDefect } from './processes/runner-host.ts';
import { recordedIds } from './processes/runner-storage.ts';
import type { MemoryRecord } from './store/memory-database.ts';
import { actionNames, repositories, User, type ActionName, type EnvironmentLook } from './users.ts';
import { calmWorld, faultKinds, roughWorld, type FaultKind, type WorldFaults } from './world/faults.ts';
import { World } from './world/world.ts';

/** What is run: a seed, a size, and what goes wrong. */
export interface RunOptions {
  readonly seed: number;
  /** Users, each with one environment at a time. */
  readonly environments: number;
  /** Hours with faults; then the world calms down and has to come to rest. */
  readonly hours: number;
  readonly faults?: WorldFaults | undefined;
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
  readonly faults: Readonly<Record<FaultKind, number>>;
  readonly actions: Readonly<Record<ActionName, number>>;
  /** How often each phase was entered, by its name. */
  readonly phases: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
  /** Equal for equal seeds and options. */
  readonly digest: string;
}

const hourMs = 60 * 60_000;
/** After the last fault everything has to come to rest within this time. */
const calmMs = 1.5 * hourMs;

/** Runs a world from its first moment to its rest. */
export async function simulate(options: RunOptions): Promise<RunReport> {
  const run = new Run(options);
  await run.go();
  return run.report();
}

/** A row of the store: the plane fills both in when it makes one. */
type WholeEnvironment = Environment & Required<Pick<EnvironmentView, 'spec' | 'status'>>;

/** What the oracles saw of at their last look. */
interface Look {
  readonly atMs: number;
  readonly machine: number;
  readonly revision: bigint;
  readonly disk: number;
  readonly connected: boolean;
}

/** Time alone breaks rules too, but none of those is about less than minutes. */
const lookMsMax = 5000;

class Run {
  readonly #options: RunOptions;
  readonly #world: World;
  readonly #plane: PlaneHost;
  readonly #runner: RunnerHost;
  readonly #users: User[];
  readonly #check = createOracles();
  readonly #gone = new Set<string>();
  readonly #phases: Record<string, number> = {};
  readonly #violations: Violation[] = [];
  #recorded: { readonly version: number; readonly ids: ReadonlySet<string> } | undefined;
  /** The rows of the store up to a revision. */
  readonly #environments = new Map<string, EnvironmentView>();
  #revision = 0n;
  #looked: Look | undefined;
  #passes = 0;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#world = new World(options.seed, options.tell);
    for (const [url, files] of Object.entries(repositories)) this.#world.machine.repositories.set(url, files);
    this.#plane = new PlaneHost(this.#world);
    const onOutcome = ({ key, outcome }: PassOutcome): void => {
      this.#passes += 1;
      const why =
        outcome.kind === 'retry' ? String(outcome.error) : outcome.kind === 'failed' ? outcome.reason : '';
      this.#world.detail(`pass ${key} ${outcome.kind} ${why}`);
    };
    this.#runner = new RunnerHost(this.#world, this.#plane.runnerId, onOutcome, options.defect);
    const userOptions = {
      world: this.#world,
      client: () => this.#plane.client,
      look: (id: string) => this.#look(id),
    };
    this.#users = Array.from(
      { length: options.environments },
      (_, index) => new User(userOptions, `u${index}`),
    );
  }

  async go(): Promise<void> {
    const world = this.#world;
    const startMs = world.clock.nowMs();
    await this.#plane.prepare();
    world.setFaults(this.#options.faults ?? roughWorld);
    this.#plane.start();
    this.#runner.start();
    startAccidents(world, this.#plane, this.#runner);
    for (const user of this.#users) user.start();
    const roughEndMs = startMs + this.#options.hours * hourMs;
    await world.clock.runUntil(roughEndMs, () => this.#judge());
    if (this.#isOver()) return;
    world.setFaults(calmWorld);
    world.network.heal();
    for (const user of this.#users) user.stop();
    await world.clock.runUntil(roughEndMs + calmMs, () => this.#judge());
  }

  report(): RunReport {
    const { seed, environments, hours } = this.#options;
    const count = <Name extends string>(names: readonly Name[], of: (name: Name) => number) =>
      Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, number>;
    return {
      seed,
      environmentHours: environments * hours,
      passes: this.#passes,
      faults: count(faultKinds, (kind) => this.#world.counts.get(kind) ?? 0),
      actions: count(actionNames, (name) =>
        this.#users.reduce((sum, { actions }) => sum + (actions.get(name) ?? 0), 0),
      ),
      phases: this.#phases,
      violations: this.#violations,
      digest: this.#world.digest(),
    };
  }

  /** Asks the oracles; true when the run is over. */
  #judge(): boolean {
    if (this.#hasSeen()) return this.#isOver();
    for (const violation of this.#check(this.#view())) {
      this.#violations.push(violation);
      this.#world.note(`violation ${violation.oracle} ${violation.environmentId} ${violation.message}`);
    }
    return this.#isOver();
  }

  #isOver(): boolean {
    return this.#options.stopAtFirst === true && this.#violations.length > 0;
  }

  /** Whether the world is still as it was at the last look: then the oracles have nothing new to see. */
  #hasSeen(): boolean {
    const { clock, machine, database, disk } = this.#world;
    const before = this.#looked;
    const now: Look = {
      atMs: clock.nowMs(),
      machine: machine.version,
      revision: database.revision,
      disk: disk.version,
      connected: this.#connected(),
    };
    const same =
      before !== undefined &&
      now.machine === before.machine &&
      now.revision === before.revision &&
      now.disk === before.disk &&
      now.connected === before.connected;
    if (same && now.atMs - before.atMs < lookMsMax) return true;
    this.#looked = now;
    return false;
  }

  #connected(): boolean {
    const linked = this.#runner.runner?.planeState().state === 'connected';
    return linked && this.#plane.client !== undefined && !this.#world.network.partitioned;
  }

  #view(): WorldView {
    const { clock, machine } = this.#world;
    this.#readRows();
    return {
      nowMs: clock.nowMs(),
      machine,
      running: runningOn(machine),
      environments: this.#environments,
      goneIds: this.#gone,
      recordedIds: this.#recordedIds(),
      connected: this.#connected(),
    };
  }

  #recordedIds(): ReadonlySet<string> {
    const { disk } = this.#world;
    if (this.#recorded?.version !== disk.version) {
      this.#recorded = { version: disk.version, ids: new Set(recordedIds(disk)) };
    }
    return this.#recorded.ids;
  }

  /** Takes over what changed in the store. */
  #readRows(): void {
    const { database } = this.#world;
    if (database.revision === this.#revision) return;
    for (const record of database.changedSince(this.#revision)) {
      if (record.kind !== 'environment') continue;
      if (record.value === undefined) this.#forget(record.id);
      else this.#remember(record);
    }
    this.#revision = database.revision;
  }

  #forget(id: string): void {
    if (this.#gone.has(id)) return;
    this.#gone.add(id);
    this.#environments.delete(id);
    this.#enter(id, EnvironmentPhase.DELETED);
  }

  #remember({ id, value }: MemoryRecord): void {
    const before = this.#environments.get(id);
    const { spec, status } = value as WholeEnvironment;
    const user = this.#users.find(({ environmentId }) => environmentId === id);
    this.#environments.set(id, { id, spec, status, work: user?.work ?? new Map<string, string>() });
    if (before?.status.phase !== status.phase) this.#enter(id, status.phase);
  }

  #enter(id: string, environmentPhase: EnvironmentPhase): void {
    const name = EnvironmentPhase[environmentPhase] ?? String(environmentPhase);
    this.#phases[name] = (this.#phases[name] ?? 0) + 1;
    this.#world.note(`phase ${id} ${name}`);
  }

  #look(id: string): EnvironmentLook | undefined {
    this.#readRows();
    const view = this.#environments.get(id);
    if (view === undefined) return undefined;
    const { spec, status } = view;
    const wished = spec.content?.session ?? '';
    // With other content on its way, what is there now is about to go.
    const contentSession = status.content?.session === wished ? wished : undefined;
    return { phase: status.phase, contentSession };
  }
}

function runningOn(machine: SimulatedMachine): ReadonlyMap<string, readonly SimulatedInstance[]> {
  const found = new Map<string, SimulatedInstance[]>();
  for (const instance of machine.instances.values()) {
    if (instance.state !== 'running') continue;
    const { environmentId } = instance.start;
    const others = found.get(environmentId);
    if (others === undefined) found.set(environmentId, [instance]);
    else others.push(instance);
  }
  return found;
}
