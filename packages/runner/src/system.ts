/** What the runner's process takes from its machine: the only file of this package that does. */
import { homedir, totalmem } from 'node:os';
import { systemClock, systemRandom } from '@atelier/api/system';

export { systemClock, systemRandom };

/** Memory of the machine in bytes. */
export function machineMemoryBytes(): number {
  return totalmem();
}

/** The home folder of the user whom this process is for. */
export function userFolder(): string {
  return homedir();
}

/** One line of JSON per message on the standard error, which the daemon sends to its log. */
export function writeLog(message: string, facts: Record<string, unknown> = {}): void {
  process.stderr.write(
    `${JSON.stringify({ time: new Date().toISOString(), part: 'runner', message, ...facts })}\n`,
  );
}
