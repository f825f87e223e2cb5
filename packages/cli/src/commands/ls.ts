/** `atelier ls`: the environments that there are. */
import { EnvironmentPhase, EnvironmentSchema, type Environment } from '@atelier/api/gitpod/environment';
import type { CommandContext, Format } from '../context.ts';
import { atMs, nameOf, phaseOf } from '../environment-facts.ts';
import { formatDuration } from '../output/duration.ts';
import { formatMessages } from '../output/message.ts';
import { formatTable } from '../output/table.ts';

/** Prints the environments that are not deleted, in the order of their making. */
export async function run(context: CommandContext, options: { readonly output: Format }): Promise<void> {
  const client = await context.connect();
  const all = await client.environments.list();
  const environments = all.filter(({ status }) => status?.phase !== EnvironmentPhase.DELETED);
  if (options.output === 'json') return context.out(formatMessages(EnvironmentSchema, environments));
  context.out(environmentTable(environments, context.system.clock.nowMs()));
}

/** The table that `ls` prints; `nowMs` is what SINCE is counted from. */
export function environmentTable(environments: readonly Environment[], nowMs: number): string {
  const rows = environments.map((environment) => {
    const { id, metadata, status } = environment;
    const sinceMs = atMs(status?.detail?.phaseSince);
    const since = sinceMs === undefined ? '' : formatDuration(nowMs - sinceMs);
    return [nameOf(environment), phaseOf(environment), since, metadata?.originalContextUrl ?? '', id];
  });
  return formatTable(['NAME', 'PHASE', 'SINCE', 'SOURCE', 'ID'], rows);
}
