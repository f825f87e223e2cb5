/** `atelier stop`: processes end, everything on disk stays. */
import { EnvironmentPhase, EnvironmentSchema, EnvironmentService } from '@atelier/api/gitpod/environment';
import type { CommandContext, Format } from '../context.ts';
import { nameOf } from '../environment-facts.ts';
import { findEnvironment } from '../environment-reference.ts';
import { formatMessage } from '../output/message.ts';
import { waitForPhase } from '../phase-wait.ts';

/** Runs the command; returns when the environment has stopped. */
export async function run(
  context: CommandContext,
  reference: string | undefined,
  options: { readonly output: Format },
): Promise<number> {
  const client = await context.connect();
  const environment = await findEnvironment(context, client, reference);
  await client.service(EnvironmentService).stopEnvironment({ environmentId: environment.id });
  const label = `stop ${nameOf(environment)}`;
  const stopped = await waitForPhase(context, client, environment.id, {
    label,
    wanted: EnvironmentPhase.STOPPED,
    goesOn: `environment ${nameOf(environment)} goes on stopping`,
  });
  if (options.output === 'json' && stopped) context.out(formatMessage(EnvironmentSchema, stopped));
  return 0;
}
