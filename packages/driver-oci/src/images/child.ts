/** Long-running programs whose output is told line by line, and which end with everything they started. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { AtelierError } from '@atelier/api';

/** How a program is run. */
export interface ChildOptions {
  readonly variables: Readonly<Record<string, string>>;
  /** Ends the program and all its children at once. */
  readonly signal: AbortSignal;
  /** Called with each line of both outputs. */
  readonly onLine?: (line: string) => void;
  /** An open file that the program finds as number 3. */
  readonly descriptor?: number;
}

/** How a program ended. */
export interface ChildResult {
  /** -1 when it was killed. */
  readonly exitCode: number;
  /** The last lines of both outputs. */
  readonly lines: readonly string[];
}

const linesKept = 30;
const lineLengthMax = 1000;

/**
 * Runs a program to its end. Errors: `canceled` when the signal fires, once nothing of it runs any more;
 * `failed_precondition` when the program is not there.
 */
export function runChild(
  program: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<ChildResult> {
  const { signal, onLine } = options;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new AtelierError('canceled', `${program} was not started: canceled`));
    const child = spawn(program, args, {
      env: { ...options.variables },
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', options.descriptor ?? 'ignore'],
    });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (whole) => {
        const line = whole.slice(0, lineLengthMax);
        lines.push(line);
        if (lines.length > linesKept) lines.shift();
        onLine?.(line);
      });
    }
    const kill = (): void => killGroup(child.pid);
    signal.addEventListener('abort', kill, { once: true });
    child.on('error', (cause) => {
      signal.removeEventListener('abort', kill);
      const message = `${program} cannot be started: install it, or see the doctor command`;
      reject(new AtelierError('failed_precondition', message, { cause }));
    });
    child.on('close', (code) => {
      signal.removeEventListener('abort', kill);
      if (signal.aborted) reject(new AtelierError('canceled', `${program} was ended: canceled`));
      else resolve({ exitCode: code ?? -1, lines });
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Everything in the group has ended already.
  }
}
