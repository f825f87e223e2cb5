/** A process in a throw-away instance, from its start to its end, with the last part of what it said. */
import { AtelierError, toAtelierError } from '@atelier/api';
import {
  OutputStream,
  ProcessService,
  RunRequestSchema,
  type RunRequest,
} from '@atelier/api/atelier/process';
import { create } from '@bufbuild/protobuf';
import { createClient, type Transport } from '@connectrpc/connect';

/** What to run in an instance, and as whom. */
export interface ProcessRun {
  /** Names the process; the same id attaches to the same process. */
  readonly processId: string;
  readonly arguments: readonly string[];
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string;
  /** Called with what the process says, in pieces that may end anywhere. */
  readonly onOutput?: (text: string) => void;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly exitCode: number;
  readonly stdout: string;
  /** The last 64 KiB of it. */
  readonly stderr: string;
}

const stderrLengthMax = 64 * 1024;
const stdoutLengthMax = 1024 * 1024;

/**
 * Runs a process and waits for its end. Errors: `failed_precondition` when it cannot be started at all,
 * `invalid_argument` when it prints more than 1 MiB on stdout, `unavailable` when the link breaks,
 * `canceled` when the signal is aborted.
 */
export async function runProcess(
  transport: Transport,
  run: ProcessRun,
  signal: AbortSignal,
): Promise<ProcessEnd> {
  const client = createClient(ProcessService, transport);
  const ended = new AbortController();
  const stdout = new TextDecoder();
  const stderr = new TextDecoder();
  const end = { exitCode: 0, stdout: '', stderr: '' };
  try {
    const responses = client.run(requests(run, AbortSignal.any([ended.signal, signal])), { signal });
    for await (const { message } of responses) {
      if (message.case === 'output') {
        const { stream, data } = message.value;
        const isStdout = stream === OutputStream.STDOUT;
        const text = (isStdout ? stdout : stderr).decode(data, { stream: true });
        if (isStdout) end.stdout = requireShort(end.stdout + text, run);
        else end.stderr = (end.stderr + text).slice(-stderrLengthMax);
        run.onOutput?.(text);
      } else if (message.case === 'exited') {
        const { exitCode, failureMessage } = message.value;
        if (failureMessage !== '') throw new AtelierError('failed_precondition', failureMessage);
        return { ...end, exitCode };
      }
    }
  } catch (thrown) {
    throw toAtelierError(thrown);
  } finally {
    ended.abort();
  }
  throw new AtelierError('unavailable', `The connection ended before ${run.arguments[0]} did.`);
}

function requireShort(text: string, run: ProcessRun): string {
  if (text.length <= stdoutLengthMax) return text;
  throw new AtelierError(
    'invalid_argument',
    `${run.arguments.join(' ')} prints more than ${stdoutLengthMax} characters. It is not what it should be; look at it in the repository.`,
  );
}

/** Start, end of input, and then silence: an ended request stream would mean that nobody listens any more. */
async function* requests(run: ProcessRun, until: AbortSignal): AsyncGenerator<RunRequest> {
  const { processId, workingDirectory, environment, user } = run;
  yield create(RunRequestSchema, {
    message: {
      case: 'start',
      value: { processId, arguments: [...run.arguments], workingDirectory, environment, user },
    },
  });
  yield create(RunRequestSchema, {
    message: { case: 'input', value: { sequence: 1n, end: true } },
  });
  if (until.aborted) return;
  await new Promise<void>((resolve) => {
    until.addEventListener('abort', () => resolve(), { once: true });
  });
}
