/** `atelier version`: of this command line and of the daemon that runs. */
import type { CommandContext, Format } from '../context.ts';
import { runningDaemon } from '../daemon/record.ts';
import { formatJson } from '../output/json.ts';

/** Runs the command; starts nothing. */
export async function run(context: CommandContext, options: { readonly output: Format }): Promise<void> {
  const daemon = runningDaemon(context.home, 'plane');
  const versions = { version: context.version, daemonVersion: daemon?.version ?? null };
  if (options.output === 'json') return context.out(formatJson(versions));
  context.out(`atelier ${context.version}\n`);
  context.out(daemon ? `daemon ${daemon.version}\n` : 'daemon not running\n');
}
