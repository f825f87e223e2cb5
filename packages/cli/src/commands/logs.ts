/** `atelier logs`: what services, tasks and the steps of a start printed. */
import type { CommandContext } from '../context.ts';
import { listExecutions, listServices, listTasks } from '../automation-reference.ts';
import { findEnvironment } from '../environment-reference.ts';
import { printLogs } from '../log-print.ts';
import { logTargetsOf } from '../log-target.ts';

/** Runs the command; without `what` the logs of every step of the last start. */
export async function run(
  context: CommandContext,
  reference: string | undefined,
  what: string | undefined,
  options: { readonly follow?: boolean },
): Promise<void> {
  const client = await context.connect();
  const environment = await findEnvironment(context, client, reference);
  const { id } = environment;
  const [services, tasks, executions] = await Promise.all([
    listServices(client, id),
    listTasks(client, id),
    listExecutions(client, id),
  ]);
  const targets = logTargetsOf({ environment, services, tasks, executions }, what);
  await printLogs(context, client, { environmentId: id, targets, follow: options.follow ?? false });
}
