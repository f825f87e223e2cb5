/** Looks at a world for the oracles: the rows of its store, its machine and its disk, as they are. */
import { EnvironmentPhase, type Environment } from '@atelier/api/gitpod/environment';
import type { SimulatedInstance, SimulatedMachine } from '@atelier/driver-simulated';
import { createOracles } from './oracles.ts';
import type { PlaneHost } from './processes/plane-host.ts';
import type { RunnerHost } from './processes/runner-host.ts';
import { recordedIds } from './processes/runner-storage.ts';
import type { MemoryRecord } from './store/memory-database.ts';
import type { EnvironmentLook } from './users.ts';
import type { EnvironmentView, Violation, WorldView } from './view.ts';
import type { World } from './world/world.ts';

/** Whose world it is that is looked at. */
export interface WatchOptions {
  readonly world: World;
  readonly plane: PlaneHost;
  readonly runner: RunnerHost;
  /** What users wrote into an environment: files with their content sessions. */
  readonly workIn: (environmentId: string) => ReadonlyMap<string, string>;
}

/** A row of the store: the plane fills both in when it makes one. */
type WholeEnvironment = Environment & Required<Pick<EnvironmentView, 'spec' | 'status'>>;

/** What the oracles saw at their last look. */
interface Look {
  readonly atMs: number;
  readonly machine: number;
  readonly revision: bigint;
  readonly disk: number;
  readonly connected: boolean;
}

/** Time alone breaks rules too, but none of those is about less than minutes. */
const lookMsMax = 5000;

/** The oracles of one world, asked whenever something in it may be another thing than before. */
export class Watch {
  readonly violations: Violation[] = [];
  /** How often each phase was entered, by its name. */
  readonly phases: Record<string, number> = {};
  readonly #options: WatchOptions;
  readonly #check = createOracles();
  readonly #environments = new Map<string, EnvironmentView>();
  readonly #gone = new Set<string>();
  #revision = 0n;
  #looked: Look | undefined;
  #recorded: { readonly version: number; readonly ids: ReadonlySet<string> } | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Asks the oracles, unless everything is as it was. */
  look(): void {
    if (!this.#hasSeen()) for (const violation of this.#check(this.#view())) this.#note(violation);
  }

  /** Notes what somebody else than the oracles found. */
  found(oracle: string, environmentId: string, message: string): void {
    const { clock } = this.#options.world;
    const atMs = clock.nowMs();
    const known = this.violations.some((each) => each.oracle === oracle && each.message === message);
    if (!known) this.#note({ oracle, atMs, awakeForMs: clock.awakeForMs(), environmentId, message });
  }

  /** What a user sees of an environment. */
  environment(id: string): EnvironmentLook | undefined {
    this.#readRows();
    const view = this.#environments.get(id);
    if (view === undefined) return undefined;
    const { spec, status } = view;
    const wished = spec.content?.session ?? '';
    // With other content on its way, what is there now is about to go.
    const contentSession = status.content?.session === wished ? wished : undefined;
    return { phase: status.phase, contentSession };
  }

  /** Every environment of the store, for whoever asks whether they have come to rest. */
  environments(): ReadonlyMap<string, EnvironmentView> {
    this.#readRows();
    return this.#environments;
  }

  #note(violation: Violation): void {
    this.violations.push(violation);
    const { oracle, environmentId, message } = violation;
    this.#options.world.note(`violation ${oracle} ${environmentId} ${message}`);
  }

  #hasSeen(): boolean {
    const { clock, machine, database, disk } = this.#options.world;
    const before = this.#looked;
    const now: Look = {
      atMs: clock.awakeForMs(),
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
    const { world, plane, runner } = this.#options;
    if (world.network.partitioned || world.storeIsDown || world.diskIsFull) return false;
    if (plane.client === undefined || plane.process?.paused !== false) return false;
    return runner.process?.paused === false && runner.runner?.planeState().state === 'connected';
  }

  #view(): WorldView {
    const { world } = this.#options;
    const { clock, machine } = world;
    return {
      nowMs: clock.nowMs(),
      awakeForMs: clock.awakeForMs(),
      machine,
      running: runningOn(machine),
      environments: this.environments(),
      goneIds: this.#gone,
      recordedIds: this.#recordedIds(),
      connected: this.#connected(),
      isSpoilt: world.struck.length > 0,
      reboots: world.counts.get('reboot') ?? 0,
    };
  }

  #recordedIds(): ReadonlySet<string> {
    const { disk } = this.#options.world;
    if (this.#recorded?.version !== disk.version) {
      this.#recorded = { version: disk.version, ids: new Set(recordedIds(disk)) };
    }
    return this.#recorded.ids;
  }

  /** Takes over what changed in the store. */
  #readRows(): void {
    const { database } = this.#options.world;
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
    this.#environments.set(id, { id, spec, status, work: this.#options.workIn(id) });
    if (before?.status.phase !== status.phase) this.#enter(id, status.phase);
  }

  #enter(id: string, environmentPhase: EnvironmentPhase): void {
    const name = EnvironmentPhase[environmentPhase] ?? String(environmentPhase);
    this.phases[name] = (this.phases[name] ?? 0) + 1;
    this.#options.world.note(`phase ${id} ${name}`);
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
