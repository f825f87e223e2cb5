/** Programs of the host, each started without a shell and without the variables of this process. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { AtelierError } from '@atelier/api';
import { startProgram } from './spawn.ts';

/** What a program is started with. */
export interface RunOptions {
  /** Written to its standard input. */
  readonly input?: string | undefined;
  /** Standard output and standard error go to this open file instead of the result. */
  readonly outputFile?: number | undefined;
}

/** What a program left behind. */
export interface RunResult {
  readonly exitCode: number;
  readonly output: string;
  readonly errorOutput: string;
}

const outputBytesMax = 4 << 20;

/** Runs a program to its end. Errors: `failed_precondition` when the program is not there. */
export async function tryRun(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const started = startProgram(program, args, options.outputFile);
  started.input.on('error', () => {});
  started.input.end(options.input ?? '');
  const [end, output, errorOutput] = await Promise.all([
    started.ended,
    textOf(started.output),
    textOf(started.errorOutput),
  ]);
  // As a shell says it.
  const exitCode = end.signal === 0 ? end.exitCode : 128 + end.signal;
  return { exitCode, output, errorOutput };
}

/** What is said until the end, cut at the most that is kept. */
async function textOf(stream: Socket | undefined): Promise<string> {
  if (stream === undefined) return '';
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= outputBytesMax) chunks.push(chunk);
  });
  await once(stream, 'close');
  return Buffer.concat(chunks).toString();
}

/** Runs a program that must succeed and gives its output; `internal` with its last words otherwise. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { exitCode, output, errorOutput } = await tryRun(program, args, options);
  if (exitCode === 0) return output;
  const words = errorOutput.trim().split('\n').slice(-5).join('; ');
  throw new AtelierError('internal', `${program} ended with ${exitCode}: ${words}`);
}
