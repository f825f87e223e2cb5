/** Programs that are started to be measured, or on the way to it. */
import { spawn } from 'node:child_process';
import { AtelierError } from '@atelier/api';

/** A program with its arguments and surroundings. */
export interface Command {
  readonly arguments: readonly string[];
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** How a program went. Times are milliseconds after its start. */
export interface Ended {
  readonly stdout: string;
  /** When the first byte of its stdout was read; undefined when it wrote none. */
  readonly firstByteMs: number | undefined;
  readonly tookMs: number;
}

/** Runs a program to its end. Errors: `internal` with what it wrote when its exit code is not 0. */
export function runProgram({ arguments: words, environment }: Command): Promise<Ended> {
  const [program = '', ...rest] = words;
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const child = spawn(program, rest, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let firstByteMs: number | undefined;
    child.stdout.on('data', (data: Buffer) => {
      firstByteMs ??= performance.now() - startedMs;
      stdout.push(data);
    });
    child.stderr.on('data', (data: Buffer) => stderr.push(data));
    child.on('error', (cause) => {
      reject(new AtelierError('failed_precondition', `${program} cannot be started`, { cause }));
    });
    // The pipes may be held open by what the program left behind, such as a monitor of a container.
    child.on('exit', (code, signal) => {
      const tookMs = performance.now() - startedMs;
      setImmediate(() => {
        const text = Buffer.concat(stdout).toString('utf8');
        if (code === 0) return resolve({ stdout: text, firstByteMs, tookMs });
        const said = `${text}${Buffer.concat(stderr).toString('utf8')}`.trim().split('\n').slice(-15);
        const message = `${words.join(' ')} ended with ${code ?? signal}:\n${said.join('\n')}`;
        reject(new AtelierError('internal', message));
      });
    });
  });
}

/** Runs a program and gives the time until the first byte of its stdout. Errors: as `runProgram`. */
export async function timeToFirstByte(command: Command): Promise<number> {
  const { firstByteMs } = await runProgram(command);
  if (firstByteMs !== undefined) return firstByteMs;
  throw new AtelierError('internal', `${command.arguments.join(' ')} wrote nothing`);
}
