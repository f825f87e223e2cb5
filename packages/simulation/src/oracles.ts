/**
 * What must be true of every world, whatever went wrong in it. This file is reviewed like the API: a defect
 * that no rule here can see is a defect that the simulation cannot find.
 *
 * Two kinds of rules. *Safety* holds at every moment, also in the middle of a crash. *Liveness* holds after a
 * stretch of time in which nothing hindered the runner and the plane: the time in which one of them was
 * down or apart from the other does not count.
 *
 * The rules read the machine, the store and the runner's disk as they are, never what a process believes.
 */
import { isLasting } from '@atelier/api';
import {
  EnvironmentPhase,
  type EnvironmentSpec,
  type EnvironmentStatus,
} from '@atelier/api/gitpod/environment';
import type { SimulatedInstance, SimulatedMachine } from '@atelier/driver-simulated';
import { timestampMs } from '@bufbuild/protobuf/wkt';

/** One environment as its user sees it: the row of the plane's store. */
export interface EnvironmentView {
  readonly id: string;
  readonly spec: EnvironmentSpec;
  readonly status: EnvironmentStatus;
  /** Files that its user wrote, each with the content session that it was written in. */
  readonly work: ReadonlyMap<string, string>;
}

/** A world at one moment. */
export interface WorldView {
  readonly nowMs: number;
  readonly machine: SimulatedMachine;
  /** Running instances by environment. */
  readonly running: ReadonlyMap<string, readonly SimulatedInstance[]>;
  /** Every environment that the store has. */
  readonly environments: ReadonlyMap<string, EnvironmentView>;
  /** Ids that the store once had and has no more. */
  readonly goneIds: ReadonlySet<string>;
  /** Ids that the runner's disk has records or logs of. */
  readonly recordedIds: ReadonlySet<string>;
  /** Whether runner and plane are alive and linked, and nothing lies between them. */
  readonly connected: boolean;
}

/** A rule that was broken: which, by what, when. */
export interface Violation {
  readonly oracle: string;
  readonly atMs: number;
  readonly environmentId: string;
  readonly message: string;
}

/** One rule. It may remember what it saw, so that it can speak about time. */
interface Oracle {
  readonly name: string;
  check(view: WorldView, found: (environmentId: string, message: string) => void): void;
}

const secondMs = 1000;
const minuteMs = 60 * secondMs;

/**
 * How long a status may differ from the machine while nothing hinders anybody. An answer of the driver may
 * take 20 s and be lost, a step that fails waits up to 30 s, and a supervisor may be waited for.
 */
const truthMsMax = 5 * minuteMs;
/** How long after a promised deadline the phase must have been left: the runner's pass and the report of it. */
const deadlineSlackMs = 3 * minuteMs;
/** How long what nobody wants may stay on the machine. */
const garbageMsMax = 30 * minuteMs;
/** Rules about minutes are not asked more often than this. */
const livenessIntervalMs = secondMs;
const idLength = 36;

/** Makes the oracles of one world; they are asked after every event. */
export function createOracles(): (view: WorldView) => Violation[] {
  const safety = [oneWriterPerDisk(), deletedLeavesNothing(), desiredIsNeverCollected(), workIsNeverLost()];
  const liveness = [everyPhaseEnds(), settledMeansTrue(), nothingIsForgotten()];
  const all = [...safety, ...liveness];
  let nextLivenessMs = 0;
  const reported = new Set<string>();
  return (view) => {
    const violations: Violation[] = [];
    const isLivenessDue = view.nowMs >= nextLivenessMs;
    if (isLivenessDue) nextLivenessMs = view.nowMs + livenessIntervalMs;
    for (const oracle of isLivenessDue ? all : safety) {
      oracle.check(view, (environmentId, message) => {
        const key = `${oracle.name} ${environmentId} ${message}`;
        if (reported.has(key)) return;
        reported.add(key);
        violations.push({ oracle: oracle.name, atMs: view.nowMs, environmentId, message });
      });
    }
    return violations;
  };
}

/** Counts how long something has been so without a break, over connected time only. */
class Lasting {
  readonly #seen = new Map<string, { sinceMs: number; look: number }>();
  #look = 0;
  #connectedSinceMs: number | undefined;

  /** Begins a look at the world: what is not named in it has ended. */
  look(view: WorldView): void {
    this.#look += 1;
    if (view.connected) this.#connectedSinceMs ??= view.nowMs;
    else this.#connectedSinceMs = undefined;
  }

  /** Names something that is so now, and says for how many milliseconds it has been. */
  for(key: string, view: WorldView): number {
    const before = this.#seen.get(key);
    const sinceMs = before !== undefined && before.look >= this.#look - 1 ? before.sinceMs : view.nowMs;
    this.#seen.set(key, { sinceMs, look: this.#look });
    if (this.#connectedSinceMs === undefined) return 0;
    return view.nowMs - Math.max(sinceMs, this.#connectedSinceMs);
  }
}

/**
 * Safety: at most one process tree writes to a disk. Two main instances on one disk corrupt it; a clone that
 * runs beside the main instance writes under its user's hands.
 */
function oneWriterPerDisk(): Oracle {
  return {
    name: 'one writer per disk',
    check({ running }, found) {
      for (const [environmentId, instances] of running) {
        if (instances.length < 2) continue;
        const writers = instances.filter(writesToDisk);
        if (writers.length > 1) found(environmentId, names(writers).join(' and '));
      }
    },
  };
}

// A throw-away instance that only reads the configuration of a running environment is no writer.
function writesToDisk({ start, processes }: SimulatedInstance): boolean {
  return start.root.kind === 'disk' || processes.hasWritten;
}

/** Safety: an environment that the store has forgotten, or that says that it is deleted, has left nothing. */
function deletedLeavesNothing(): Oracle {
  return {
    name: 'deleted leaves nothing',
    check({ machine, environments, goneIds }, found) {
      for (const { id, name, kind } of thingsOn(machine)) {
        const deleted = environments.get(id)?.status.phase === EnvironmentPhase.DELETED;
        if (deleted || goneIds.has(id)) found(id, `${kind} ${name}`);
      }
    },
  };
}

/** Something on a machine, with the environment that it was made for. */
interface Thing {
  readonly id: string;
  readonly kind: 'disk' | 'network' | 'instance' | 'pin of';
  readonly name: string;
}

/** Everything that is on a machine. */
function* thingsOn(machine: SimulatedMachine): Iterable<Thing> {
  for (const id of machine.disks.keys()) yield { id, kind: 'disk', name: id };
  for (const id of machine.networks.keys()) yield { id, kind: 'network', name: id };
  for (const { start } of machine.instances.values()) {
    yield { id: start.environmentId, kind: 'instance', name: start.name };
  }
  // An owner is an environment or an instance, whose name begins with its environment.
  for (const name of machine.pins.keys()) yield { id: name.slice(0, idLength), kind: 'pin of', name };
}

/**
 * Safety: a disk that was made stays until somebody wishes the deletion, and so do the image under a running
 * instance and the root layer that it runs on.
 */
function desiredIsNeverCollected(): Oracle {
  const made = new Set<string>();
  return {
    name: 'desired is never collected',
    check({ machine, running, environments }, found) {
      for (const { id, spec } of environments.values()) {
        if (spec.desiredPhase === EnvironmentPhase.DELETED) continue;
        if (machine.disks.has(id)) made.add(id);
        else if (made.has(id)) found(id, 'its disk is gone');
        for (const { start } of running.get(id) ?? []) {
          if (start.root.kind !== 'disk') continue;
          const layer = machine.disks.get(id)?.generations.get(start.root.generation);
          if (layer === undefined)
            found(id, `root layer ${start.root.generation} is gone under ${start.name}`);
          else if (!machine.images.has(layer.imageDigest)) found(id, `the image is gone under ${start.name}`);
        }
      }
    },
  };
}

/** Safety: what a user wrote into the workspace is there until other content or the deletion is wished for. */
function workIsNeverLost(): Oracle {
  return {
    name: 'work is never lost',
    check({ machine, environments }, found) {
      for (const { id, spec, work } of environments.values()) {
        if (spec.desiredPhase === EnvironmentPhase.DELETED) continue;
        const session = spec.content?.session ?? '';
        for (const [path, writtenIn] of work) {
          if (writtenIn !== session) continue;
          if (machine.disks.get(id)?.workspace.has(path) !== true) found(id, `${path} is gone`);
        }
      }
    },
  };
}

/**
 * Liveness: a phase that may not last has a deadline, and it is left before that. Before the runner has said
 * anything there is nothing that it could promise; that must end soon as well.
 */
function everyPhaseEnds(): Oracle {
  const lasting = new Lasting();
  return {
    name: 'every phase ends',
    check(view, found) {
      lasting.look(view);
      for (const { id, status } of view.environments.values()) {
        const waits = !isLasting(status.phase);
        const phaseName = EnvironmentPhase[status.phase];
        const deadlineMs = status.detail?.phaseDeadline && timestampMs(status.detail.phaseDeadline);
        if (!waits) continue;
        if (deadlineMs === undefined) {
          if (lasting.for(`${id} promise`, view) > truthMsMax) found(id, `${phaseName} without a deadline`);
        } else if (view.nowMs > deadlineMs && lasting.for(`${id} overdue`, view) > deadlineSlackMs) {
          found(id, `${phaseName} was to end at ${new Date(deadlineMs).toISOString()}`);
        }
      }
    },
  };
}

/** Liveness: what the status says is what the machine has, and what is wished for. */
function settledMeansTrue(): Oracle {
  const lasting = new Lasting();
  return {
    name: 'settled means true',
    check(view, found) {
      lasting.look(view);
      for (const environment of view.environments.values()) {
        const { id } = environment;
        for (const what of untruths(view, environment)) {
          if (lasting.for(`${id} ${what}`, view) > truthMsMax) found(id, what);
        }
      }
    },
  };
}

/** In which ways the status of an environment is untrue now, if it is one that may last. */
function untruths(view: WorldView, environment: EnvironmentView): readonly string[] {
  const { phase: now } = environment.status;
  const rules: readonly (readonly [string, boolean])[] =
    now === EnvironmentPhase.RUNNING
      ? untruthsUp(view, environment)
      : now === EnvironmentPhase.STOPPED
        ? untruthsDown(view, environment)
        : [];
  return rules.filter(([, wrong]) => wrong).map(([what]) => what);
}

function untruthsUp({ machine, running }: WorldView, { id, spec, status }: EnvironmentView) {
  const main = running.get(id)?.find(({ start }) => start.name.includes('-main-'));
  const layer = main?.start.root.kind === 'disk' ? main.start.root.generation : undefined;
  const digest = layer === undefined ? undefined : machine.disks.get(id)?.generations.get(layer)?.imageDigest;
  return [
    ['RUNNING without a main instance', main === undefined],
    ['RUNNING without a network', !machine.networks.has(id)],
    ['RUNNING on an image that is not pinned', digest !== undefined && machine.pins.get(id) !== digest],
    ['RUNNING while its supervisor was never told what is desired', main?.supervisor.spec === undefined],
    ['RUNNING while a stop or a deletion is wished', spec.desiredPhase !== EnvironmentPhase.RUNNING],
    ['RUNNING for another machine session', status.machine?.session !== spec.machine?.session],
    ['RUNNING for another content session', status.content?.session !== spec.content?.session],
  ] as const;
}

function untruthsDown({ machine, running }: WorldView, { id, spec, status }: EnvironmentView) {
  // The runner's own stops: after a failure, and when nobody used the environment for too long.
  const excused = status.failureMessage.length > 0 || (status.machine?.timeout ?? '') !== '';
  return [
    ['STOPPED with an instance', running.has(id)],
    ['STOPPED with a network', machine.networks.has(id)],
    ['STOPPED while running is wished', spec.desiredPhase === EnvironmentPhase.RUNNING && !excused],
    ['STOPPED while a deletion is wished', spec.desiredPhase === EnvironmentPhase.DELETED],
  ] as const;
}

/** Liveness: nothing stays on the machine or on the runner's disk that belongs to no environment. */
function nothingIsForgotten(): Oracle {
  const lasting = new Lasting();
  return {
    name: 'nothing is forgotten',
    check(view, found) {
      lasting.look(view);
      const { machine, environments, recordedIds } = view;
      for (const { id, kind, name } of thingsOn(machine)) {
        if (environments.has(id)) continue;
        if (lasting.for(`${kind} ${name}`, view) > garbageMsMax) found(id, `${kind} ${name}`);
      }
      for (const id of recordedIds) {
        if (!environments.has(id) && lasting.for(id, view) > truthMsMax) found(id, 'record');
      }
    },
  };
}

function names(instances: readonly SimulatedInstance[]): string[] {
  return instances.map(({ start }) => start.name);
}
