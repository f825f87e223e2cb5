/** The rules about time: what must come to be, after a stretch in which nothing hindered anybody. */
import { isLasting } from '@atelier/api';
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { thingsOn, type EnvironmentView, type Oracle, type WorldView } from './view.ts';
import { clockErrorMsMax } from './world/faults.ts';

const minuteMs = 60_000;

/**
 * How long a status may differ from the machine while nothing hinders anybody. An answer of the driver may
 * take 20 s and be lost, a step that fails waits up to 30 s, and a supervisor may be waited for.
 */
const truthMsMax = 5 * minuteMs;
/** How long after a promised deadline the phase must have been left: the runner's pass and the report of it. */
const deadlineSlackMs = 3 * minuteMs + clockErrorMsMax;
/** How long what nobody wants may stay on the machine. */
const garbageMsMax = 30 * minuteMs;
/** How long after the end of its patience an idle environment may run. */
const idleSlackMs = 10 * minuteMs;

/** Counts how long something has been so without a break, over connected time only. */
class Lasting {
  readonly #seen = new Map<string, { sinceMs: number; look: number }>();
  #look = 0;
  #connectedSinceMs: number | undefined;

  /** Begins a look at the world: what is not named in it has ended. */
  look(view: WorldView): void {
    this.#look += 1;
    if (view.connected) this.#connectedSinceMs ??= view.awakeForMs;
    else this.#connectedSinceMs = undefined;
  }

  /** Names something that is so now, and says for how many milliseconds it has been. */
  for(key: string, view: WorldView): number {
    const before = this.#seen.get(key);
    const sinceMs = before !== undefined && before.look >= this.#look - 1 ? before.sinceMs : view.awakeForMs;
    this.#seen.set(key, { sinceMs, look: this.#look });
    if (this.#connectedSinceMs === undefined) return 0;
    return view.awakeForMs - Math.max(sinceMs, this.#connectedSinceMs);
  }
}

/**
 * Liveness: a phase that may not last has a deadline, and it is left before that. Before the runner has said
 * anything there is nothing that it could promise; that must end soon as well.
 */
export function everyPhaseEnds(): Oracle {
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
export function settledMeansTrue(): Oracle {
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
  const layers = machine.disks.get(id)?.generations;
  const digest = layer === undefined ? undefined : layers?.get(layer)?.imageDigest;
  return [
    ['RUNNING without a main instance', main === undefined],
    ['RUNNING without a network', !machine.networks.has(id)],
    ['RUNNING on an image that is not pinned', digest !== undefined && machine.pins.get(id) !== digest],
    ['RUNNING while its supervisor was never told what is desired', main?.supervisor.spec === undefined],
    ['RUNNING while a stop or a deletion is wished', spec.desiredPhase !== EnvironmentPhase.RUNNING],
    ['RUNNING beside root layers that nobody needs', (layers?.size ?? 0) > 1],
    ['RUNNING for another machine session', status.machine?.session !== spec.machine?.session],
    ['RUNNING for another content session', status.content?.session !== spec.content?.session],
  ] as const;
}

function untruthsDown({ machine, running }: WorldView, { id, spec, status }: EnvironmentView) {
  // A stop for idleness is the runner's own as well, and becomes the wish at once.
  const excused = status.failureMessage.length > 0;
  return [
    ['STOPPED with an instance', running.has(id)],
    ['STOPPED with a network', machine.networks.has(id)],
    ['STOPPED while running is wished', spec.desiredPhase === EnvironmentPhase.RUNNING && !excused],
    ['STOPPED while a deletion is wished', spec.desiredPhase === EnvironmentPhase.DELETED],
  ] as const;
}

/** Liveness: nothing stays on the machine or on the runner's disk that belongs to no environment. */
export function nothingIsForgotten(): Oracle {
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

/** Liveness: who is not used for longer than was asked for is stopped. */
export function idleAreStopped(): Oracle {
  const lasting = new Lasting();
  return {
    name: 'the idle are stopped',
    check(view, found) {
      lasting.look(view);
      for (const { id, spec, status } of view.environments.values()) {
        const patience = spec.timeout?.disconnected;
        const patienceMs = patience === undefined ? 0 : durationMs(patience);
        if (status.phase !== EnvironmentPhase.RUNNING || patienceMs === 0) continue;
        const pid = view.running.get(id)?.[0]?.pid ?? 0;
        const unusedMs = lasting.for(`${id} ${spec.specVersion} ${pid}`, view);
        if (unusedMs > patienceMs + idleSlackMs)
          found(id, `it runs, unused for ${patienceMs / minuteMs} minutes`);
      }
    },
  };
}
