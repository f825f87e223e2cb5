/** `atelier shell`: a login shell inside. */
import type { CommandContext } from '../context.ts';
import { findEnvironment } from '../environment-reference.ts';
import { runOnTerminal } from '../terminal-run.ts';

/** A shell whose window was closed ends after this. */
const unattendedMs = 60 * 60_000;

/** Runs the command; the exit code is the shell's own, 255 is ours. Without a terminal here it has none inside. */
export async function run(context: CommandContext, reference: string | undefined): Promise<number> {
  const client = await context.connect();
  const { id } = await findEnvironment(context, client, reference);
  const terminal = context.system.stdin.isTTY && context.system.stdout.isTTY;
  return runOnTerminal(context, client, {
    environmentId: id,
    arguments: [],
    terminal,
    ...(terminal && { unattendedMs }),
  });
}
