/** Programs of the host, each started without a shell and without the variables of this process. */
import { spawn, type StdioOptions } from 'node:child_process';
import { AtelierError } from '@atelier/api';

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

const variables = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const outputBytesMax = 4 << 20;

/** Runs a program to its end. Errors: `failed_precondition` when the program is not there. */
export function tryRun(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const out = options.outputFile ?? 'pipe';
    // Never the host's /dev/null: crun gives its standard streams to root inside, and that would be the device.
    const stdio: StdioOptions = ['pipe', out, out];
    const child = spawn(program, args, { stdio, env: variables, cwd: '/' });
    const streams = [child.stdout, child.stderr].map((stream) => {
      const chunks: Buffer[] = [];
      let size = 0;
      stream?.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= outputBytesMax) chunks.push(chunk);
      });
      return chunks;
    });
    child.on('error', (cause) => {
      const message = `${program} cannot be started: install it, or see the doctor command`;
      reject(new AtelierError('failed_precondition', message, { cause }));
    });
    child.on('close', (code) => {
      const [output = '', errorOutput = ''] = streams.map((chunks) => Buffer.concat(chunks).toString());
      resolve({ exitCode: code ?? -1, output, errorOutput });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input);
  });
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
