/** A process inside, on this process's own stdin, stdout and stderr. */
import { toAtelierError, type AtelierError } from '@atelier/api';
import { runProcess, type AtelierClient } from '@atelier/sdk';
import type { CommandContext } from './context.ts';
import { ownFailure } from './exit.ts';

/** What to run, and on what it runs. */
export interface TerminalRun {
  readonly environmentId: string;
  /** Empty starts the user's login shell. */
  readonly arguments: readonly string[];
  /** A terminal instead of pipes. */
  readonly terminal: boolean;
  readonly unattendedMs?: number;
}

const sizeDefault = { columns: 80, rows: 24 };

/**
 * Runs the process to its end and gives its exit code, or 255 with a line on stderr when Atelier itself fails.
 * Goes on byte-exact over a restart of the daemon. Signals go to the process; a third one of a kind that
 * ends things leaves it.
 */
export async function runOnTerminal(
  context: CommandContext,
  client: AtelierClient,
  run: TerminalRun,
): Promise<number> {
  const { stdin, stdout, stderr } = context.system;
  const leave = new AbortController();
  const raw = run.terminal && stdin.isTTY;
  const term = context.system.variable('TERM');
  const process = runProcess(client, run.environmentId, {
    arguments: run.arguments,
    ...(run.terminal && { terminal: sizeOf(stdout) }),
    ...(run.terminal && term !== undefined && { environment: { TERM: term } }),
    ...(run.unattendedMs !== undefined && { unattendedMs: run.unattendedMs }),
    stdin,
    signal: leave.signal,
    onOutput: (stream, data) =>
      write(stream === 'stdout' ? stdout : stderr, data, () => process.kill('SIGPIPE')),
    onConnection: (lost) => sayConnection(context, lost, raw),
  });
  const stops = passSignals(context, process.kill, leave);
  const resize = (): void => process.resize(sizeOf(stdout));
  if (run.terminal) stdout.on('resize', resize);
  if (raw) stdin.setRawMode(true);
  try {
    const end = await process.ended;
    if (end.failureMessage !== '') context.note(`atelier: ${end.failureMessage}`);
    return end.exitCode;
  } catch (thrown) {
    context.note(`atelier: ${toAtelierError(thrown).message}`);
    return ownFailure;
  } finally {
    if (raw) stdin.setRawMode(false);
    stdout.off('resize', resize);
    for (const stop of stops) stop();
    // An input that nobody reads any more would keep this process alive.
    stdin.destroy();
  }
}

function sizeOf(stdout: NodeJS.WriteStream): { columns: number; rows: number } {
  return { columns: stdout.columns || sizeDefault.columns, rows: stdout.rows || sizeDefault.rows };
}

/** Resolves when more may be written. When the reader went away, the process inside is told as it would be here. */
function write(stream: NodeJS.WriteStream, data: Uint8Array, gone: () => void): Promise<void> {
  return new Promise((resolve) => {
    stream.write(data, (error) => {
      if (error) gone();
      resolve();
    });
  });
}

function sayConnection({ system, note }: CommandContext, lost: AtelierError | undefined, raw: boolean): void {
  const text = lost ? 'the connection is lost: waiting for the daemon' : 'connected again';
  if (raw) system.stderr.write(`\r\n[atelier: ${text}]\r\n`);
  else note(`atelier: ${text}`);
}

const signalsBeforeLeaving = 3;

function passSignals(
  { system }: CommandContext,
  kill: (name: string) => void,
  leave: AbortController,
): (() => void)[] {
  let count = 0;
  return (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const).map((name) =>
    system.onSignal(name, () => {
      count += 1;
      if (count >= signalsBeforeLeaving) leave.abort();
      else kill(name);
    }),
  );
}
