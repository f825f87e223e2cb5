/** Processes by id and start time: an id alone is given to another process one day. */
import { readFileSync } from 'node:fs';

/** One run of a process on this machine. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between the start of the machine and that of the process, as the kernel counts them. */
  readonly startTime: string;
}

/** The identity of a process that runs; undefined when none has this id, or it has ended and nobody reaped it. */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything; the fields behind it may not.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state = 'X'] = fields;
    return 'ZX'.includes(state) ? undefined : { pid, startTime: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

/** Whether this very process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return processIdentity(identity.pid)?.startTime === identity.startTime;
}

/** Asks a process to end. One that is gone is success: somebody else may have asked it too. */
export function askToEnd(identity: ProcessIdentity): void {
  send(identity, 'SIGTERM');
}

/** Asks a daemon to write down anew how it is reached. */
export function askToTell(identity: ProcessIdentity): void {
  send(identity, 'SIGHUP');
}

function send(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
