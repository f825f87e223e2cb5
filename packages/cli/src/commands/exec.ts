/** `atelier exec`: one command inside, as if it ran here. */
import type { CommandContext } from '../context.ts';
import { findEnvironment } from '../environment-reference.ts';
import { runOnTerminal } from '../terminal-run.ts';

/** Runs the command; the exit code is the command's own, 255 is ours. */
export async function run(
  context: CommandContext,
  reference: string,
  command: readonly string[],
  options: { readonly terminal?: boolean },
): Promise<number> {
  const client = await context.connect();
  const { id } = await findEnvironment(context, client, reference);
  const terminal = options.terminal ?? false;
  const [first, ...rest] = command;
  return runOnTerminal(context, client, {
    environmentId: id,
    arguments: first === '--' ? rest : command,
    terminal,
  });
}
