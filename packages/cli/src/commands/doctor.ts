/** `atelier doctor`: whether environments can run on this machine, and what a person should know about it. */
import { AtelierError } from '@atelier/api';
import type { CommandContext, Format } from '../context.ts';
import { describeMachine } from '../daemon/machine.ts';
import { prepareHome } from '../daemon/prepare-home.ts';
import { lastOptions, runningDaemon } from '../daemon/record.ts';
import { wholeDaemon } from '../daemon/start.ts';
import { formatJson } from '../output/json.ts';
import { formatFacts } from '../output/table.ts';

/** Runs the command, with a daemon or without. `failed_precondition` when no environment can run here. */
export async function run(context: CommandContext, options: { readonly output: Format }): Promise<void> {
  const { home, version } = context;
  prepareHome(home);
  const daemon = runningDaemon(home, 'plane');
  const started = lastOptions(home) ?? wholeDaemon;
  const { driverName } = started;
  const { report, environmentIds } = await describeMachine(home, started);
  if (options.output === 'json') {
    const running = daemon ? { url: daemon.url, pid: daemon.pid, version: daemon.version } : null;
    context.out(
      formatJson({ home: home.folder, version, daemon: running, driverName, ...report, environmentIds }),
    );
  } else {
    const facts: [string, string][] = [
      ['home', home.folder],
      ['version', version],
      ['daemon', daemon ? `${daemon.url} (process ${daemon.pid}, version ${daemon.version})` : 'not running'],
      ['driver', driverName],
      ['environments', `${environmentIds.length} on this disk`],
      ...report.conditions.map(({ key, value }): [string, string] => [key, value]),
      ...Object.entries(report.capabilities).map(([key, has]): [string, string] => [key, has ? 'yes' : 'no']),
    ];
    context.out(formatFacts(facts));
  }
  if (report.problems.length === 0) return;
  throw new AtelierError('failed_precondition', `no environment can run here: ${report.problems.join('; ')}`);
}
