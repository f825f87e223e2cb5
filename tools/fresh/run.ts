import { execFileSync, spawnSync } from 'node:child_process';

/** Runs a program to its end and returns its stdout; its stderr is shown, and a failure throws with the command line. */
export function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}

/** Runs a program whose failure is an answer: whether it exited with 0. */
export function succeeds(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore', timeout: 30_000 }).status === 0;
}

/** What has to be undone at the end, last made first. */
export type Undo = () => void;

/** Undoes everything; one failure is reported and does not keep the rest. */
export function undoAll(undos: Undo[]): void {
  for (const undo of undos.toReversed()) {
    try {
      undo();
    } catch (error) {
      console.error(`fresh: clean-up failed: ${String(error)}`);
    }
  }
  undos.length = 0;
}
