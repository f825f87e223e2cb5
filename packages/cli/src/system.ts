/** What the command line takes from its machine: the only file of this package that does. */
import { homedir, userInfo } from 'node:os';
import type { Clock, Random } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';

/** The machine and the process, as arguments. */
export interface System {
  readonly clock: Clock;
  readonly random: Random;
  readonly pid: number;
  readonly isRoot: boolean;
  readonly userHome: string;
  readonly workingFolder: string;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  variable(name: string): string | undefined;
  /** Calls `handle` for each signal of this name; gives a function that stops it. */
  onSignal(name: NodeJS.Signals, handle: () => void): () => void;
}

/** The machine and the process that this runs on. */
export const machineSystem: System = {
  clock: systemClock,
  random: systemRandom,
  pid: process.pid,
  isRoot: userInfo().uid === 0,
  userHome: homedir(),
  workingFolder: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  variable: (name) => process.env[name],
  onSignal(name, handle) {
    process.on(name, handle);
    return () => process.off(name, handle);
  },
};
