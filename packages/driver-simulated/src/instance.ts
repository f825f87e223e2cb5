/** One simulated instance: a process with a state, and a supervisor in it that dials. */
import type { InstanceEnd, InstanceStart, SupervisorLink } from '@atelier/driver';
import { openLink } from './link.ts';
import { SimulatedProcesses } from './processes.ts';
import { SimulatedSupervisor } from './supervisor.ts';
import type { Surroundings } from './surroundings.ts';
import { InstanceTimers } from './timers.ts';

/** A started instance; it is on the machine until it is removed or started anew. */
export class SimulatedInstance {
  readonly start: InstanceStart;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly supervisor: SimulatedSupervisor;
  readonly processes: SimulatedProcesses;
  state: 'running' | 'ended' = 'running';
  end: InstanceEnd | undefined;
  readonly #machine: Surroundings;
  readonly #timers: InstanceTimers;
  #neverDials = false;
  #link: SupervisorLink | undefined;
  #dialling = false;

  constructor(machine: Surroundings, start: InstanceStart, pid: number) {
    this.#machine = machine;
    this.start = start;
    this.pid = pid;
    this.startedAtMs = machine.clock.nowMs();
    this.#timers = new InstanceTimers(machine.clock, () => machine.changed());
    this.supervisor = new SimulatedSupervisor(machine, start, this.#timers);
    this.processes = new SimulatedProcesses(machine, start, this.#timers, pid);
  }

  /** Lets PID 1 run: from here on it dials, and may die by itself. */
  begin(): void {
    const { behaviour, random } = this.#machine;
    this.#neverDials = chance(random, behaviour.linkNeverProbability) && behaviour.permits('link-never');
    if (chance(random, behaviour.deathProbability)) {
      this.#timers.after(random() * behaviour.deathWithinMs, () => {
        if (behaviour.permits('instance-death')) this.finish('killed');
      });
    }
    this.dial();
  }

  /** Dials, if somebody listens and there is no link yet. Called again when somebody begins to listen. */
  dial(): void {
    if (this.#neverDials || this.#dialling || this.#link !== undefined || this.state === 'ended') return;
    if (!this.#machine.listeners.has(this.start.name)) return;
    this.#dialling = true;
    this.#timers.after(this.#machine.behaviour.linkDelayMs, () => {
      this.#dialling = false;
      this.#connect();
    });
  }

  #connect(): void {
    const onLink = this.#machine.listeners.get(this.start.name);
    if (onLink === undefined) return;
    const { behaviour, random, clock } = this.#machine;
    const link = openLink(clock, (router) => {
      this.supervisor.serve(router);
      this.processes.serve(router);
    });
    this.#link = link;
    if (chance(random, behaviour.linkDropProbability)) {
      const forget = this.#timers.after(random() * behaviour.linkDropWithinMs, () => {
        if (behaviour.permits('link-drop')) link.close();
      });
      void link.closed.then(forget);
    }
    void link.closed.then(() => {
      if (this.#link !== link) return;
      this.#link = undefined;
      this.dial();
    });
    onLink(link);
  }

  /** Closes the link, if there is one, as a runner that goes away does. */
  disconnect(): void {
    this.#link?.close();
  }

  /** Ends everything in the instance. A second call does nothing. */
  finish(end: InstanceEnd): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.end = end;
    this.#timers.cancelAll();
    this.#link?.close();
  }
}

function chance(random: () => number, probability: number): boolean {
  // No draw for what cannot happen: a world without faults has the same chances with and without the feature.
  return probability > 0 && random() < probability;
}
