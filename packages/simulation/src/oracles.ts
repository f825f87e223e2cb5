/**
 * What must be true of every world, whatever went wrong in it. This file is reviewed like the API: a defect
 * that no rule here can see is a defect that the simulation cannot find.
 *
 * Three kinds of rules. *Safety* (here) holds at every moment, also in the middle of a crash. *Liveness*
 * (`liveness.ts`) holds after a stretch of time in which nothing hindered the runner and the plane: the time in
 * which one of them was down or apart from the other does not count. *Rest* (`rest.ts`) holds at the end.
 *
 * The rules read the machine, the store and the runner's disk as they are, never what a process believes.
 */
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import type { SimulatedInstance } from '@atelier/driver-simulated';
import { everyPhaseEnds, idleAreStopped, nothingIsForgotten, settledMeansTrue } from './liveness.ts';
import { thingsOn, type EnvironmentView, type Oracle, type Violation, type WorldView } from './view.ts';

/** Rules about minutes are not asked more often than this. */
const livenessIntervalMs = 1000;

/** Makes the oracles of one world; they are asked after every event. */
export function createOracles(): (view: WorldView) => Violation[] {
  const safety = [
    oneWriterPerDisk(),
    deletedLeavesNothing(),
    desiredIsNeverCollected(),
    workIsNeverLost(),
    runningIsLeftAlone(),
    failureHasACause(),
  ];
  const liveness = [everyPhaseEnds(), settledMeansTrue(), nothingIsForgotten(), idleAreStopped()];
  const all = [...safety, ...liveness];
  let nextLivenessMs = 0;
  const reported = new Set<string>();
  return (view) => {
    const violations: Violation[] = [];
    const isLivenessDue = view.awakeForMs >= nextLivenessMs;
    if (isLivenessDue) nextLivenessMs = view.awakeForMs + livenessIntervalMs;
    for (const oracle of isLivenessDue ? all : safety) {
      oracle.check(view, (environmentId, message) => {
        const key = `${oracle.name} ${environmentId} ${message}`;
        if (reported.has(key)) return;
        reported.add(key);
        const { nowMs: atMs, awakeForMs } = view;
        violations.push({ oracle: oracle.name, atMs, awakeForMs, environmentId, message });
      });
    }
    return violations;
  };
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
  // Once other content was wished for, it may be gone, also when a late call wishes for the first one again.
  const given = new Set<string>();
  return {
    name: 'work is never lost',
    check({ machine, environments }, found) {
      for (const { id, spec, work } of environments.values()) {
        if (spec.desiredPhase === EnvironmentPhase.DELETED) continue;
        const session = spec.content?.session ?? '';
        for (const [path, writtenIn] of work) {
          if (writtenIn !== session) given.add(`${id} ${path}`);
          if (given.has(`${id} ${path}`)) continue;
          if (machine.disks.get(id)?.workspace.has(path) !== true) found(id, `${path} is gone`);
        }
      }
    },
  };
}

/** Where the main instance of an environment that is up was last seen, and what was wished then. */
interface Seen {
  readonly pid: number;
  readonly wish: string;
  readonly reboots: number;
}

/**
 * Safety: what runs as it is wished is not taken down and started again. An instance that was up is looked for
 * again and again; when it was removed while it ran and the environment is up with another one for the very same
 * wish, somebody's work was ended for nothing. One that ended by itself, or with the machine, has a cause.
 */
function runningIsLeftAlone(): Oracle {
  const seen = new Map<string, Seen>();
  return {
    name: 'what runs is left alone',
    check({ machine, environments, reboots }, found) {
      for (const { id, spec, status } of environments.values()) {
        const before = seen.get(id);
        const main = mainOf(machine.instances.values(), id);
        const wish = wishOf(spec);
        if (before !== undefined && (before.wish !== wish || before.reboots !== reboots)) seen.delete(id);
        else if (before !== undefined && main?.pid === before.pid && main.state === 'ended') seen.delete(id);
        if (status.phase !== EnvironmentPhase.RUNNING || main?.state !== 'running') continue;
        const last = seen.get(id);
        if (last !== undefined && last.pid !== main.pid)
          found(id, 'its instance was replaced without a cause');
        seen.set(id, { pid: main.pid, wish, reboots });
      }
    },
  };
}

function mainOf(instances: Iterable<SimulatedInstance>, id: string): SimulatedInstance | undefined {
  for (const instance of instances) {
    const { environmentId, root } = instance.start;
    if (environmentId === id && root.kind === 'disk') return instance;
  }
  return undefined;
}

function wishOf({ desiredPhase, machine, content, devcontainer }: EnvironmentView['spec']): string {
  return [desiredPhase, machine?.session, content?.session, devcontainer?.session].join(' ');
}

/** Safety: while nothing has gone wrong in the world, only an environment whose repository is nowhere fails. */
function failureHasACause(): Oracle {
  return {
    name: 'a failure has a cause',
    check({ environments, isSpoilt }, found) {
      if (isSpoilt) return;
      for (const { id, spec, status } of environments.values()) {
        const [message] = status.failureMessage;
        if (
          message !== undefined &&
          !JSON.stringify(spec.content?.initializer?.specs ?? []).includes('missing')
        ) {
          found(id, message);
        }
      }
    },
  };
}

function names(instances: readonly SimulatedInstance[]): string[] {
  return instances.map(({ start }) => start.name);
}
