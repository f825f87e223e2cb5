/** What is known about one started command; the same shape for services, their checks, and task steps. */

/** How a command ended. */
export interface ProcessExit {
  atMs: number;
  /** The exit code; undefined when a signal ended it or it never began. */
  code?: number;
  /** The signal that ended it, such as `SIGKILL`. */
  signal?: string;
  /** Why it could not be started at all. */
  error?: string;
}

/** One started command. Times are milliseconds of the same clock as `nowMs`. */
export interface ProcessFacts {
  startedAtMs: number;
  /** When SIGTERM was sent to its whole process group. */
  terminatedAtMs?: number;
  /** When SIGKILL was sent to its whole process group. */
  killedAtMs?: number;
  /** Absent while it runs. */
  exit?: ProcessExit;
}

/** A signal that the rules send. */
export type Signal = 'SIGTERM' | 'SIGKILL';

/** Whether the command ended by itself with exit code 0. */
export function succeeded(process: ProcessFacts | undefined): boolean {
  return process?.exit?.code === 0;
}

/** How a command ended, for a sentence: "exited with code 2", "was ended by SIGKILL". */
export function describeExit(exit: ProcessExit): string {
  if (exit.error !== undefined) return `could not be started: ${exit.error}`;
  if (exit.signal !== undefined) return `was ended by ${exit.signal}`;
  return `exited with code ${exit.code ?? 'unknown'}`;
}
