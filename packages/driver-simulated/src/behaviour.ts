/** What goes on inside the simulated instances, as configuration. All times are in milliseconds. */
import type { Random } from '@atelier/api';
import type { SimulatedProgram } from './programs.ts';

/** How the supervisors and the processes behind them behave. Read anew at each decision. */
export interface SimulatedBehaviour {
  /** From the start of PID 1, or from the loss of a link, until the supervisor has dialled. */
  linkDelayMs: number;
  /** Chance that the supervisor of a started instance never dials. */
  linkNeverProbability: number;
  /** Chance that a link breaks by itself, and when it does: evenly spread up to this time. */
  linkDropProbability: number;
  linkDropWithinMs: number;
  /** Chance that an instance dies by itself, and when it does: evenly spread up to this time. */
  deathProbability: number;
  deathWithinMs: number;
  /** From SIGTERM until PID 1 has ended; longer than the grace means that it is killed. */
  terminateMs: number;
  /** From the request to shut down until nothing is left but the supervisor. */
  shutdownMs: number;
  /** How long each life-cycle command takes, and how it ends. */
  lifecycleMs: number;
  lifecycleExitCode: (name: string, random: Random) => number;
  /** From the start of a service until it is ready, and from its stop until it is gone. */
  serviceReadyMs: number;
  serviceStopMs: number;
  /** How long a task's execution takes, and how it ends. */
  executionMs: number;
  executionExitCode: (executionId: string, random: Random) => number;
  /** How long a program takes that does not say it itself. */
  programMs: number;
  /** Programs by name, beside and above the built-in ones. */
  programs: Readonly<Record<string, SimulatedProgram>>;
  /** Asked before a link never comes, a link breaks or an instance dies by itself: may count it, or forbid it. */
  permits: (kind: 'link-never' | 'link-drop' | 'instance-death') => boolean;
}

/** A world in which everything works, at once. */
export function calmBehaviour(): SimulatedBehaviour {
  return {
    linkDelayMs: 0,
    linkNeverProbability: 0,
    linkDropProbability: 0,
    linkDropWithinMs: 60_000,
    deathProbability: 0,
    deathWithinMs: 60_000,
    terminateMs: 0,
    shutdownMs: 0,
    lifecycleMs: 0,
    lifecycleExitCode: () => 0,
    serviceReadyMs: 0,
    serviceStopMs: 0,
    executionMs: 0,
    executionExitCode: () => 0,
    programMs: 0,
    programs: {},
    permits: () => true,
  };
}
