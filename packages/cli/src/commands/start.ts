/** `atelier start`: a stopped environment runs again, as it was. */
import { EnvironmentService } from '@atelier/api/gitpod/environment';
import type { CommandContext, Format } from '../context.ts';
import { nameOf } from '../environment-facts.ts';
import { findEnvironment } from '../environment-reference.ts';
import { followStart } from '../up/follow.ts';

/** Runs the command; the exit code is that of `up`. */
export async function run(
  context: CommandContext,
  reference: string | undefined,
  options: { readonly output: Format },
): Promise<number> {
  return followStart(context, options.output, async (client) => {
    const environment = await findEnvironment(context, client, reference);
    const sinceMs = context.system.clock.nowMs();
    await client.service(EnvironmentService).startEnvironment({ environmentId: environment.id });
    context.note(`starting environment ${nameOf(environment)}`);
    return { environment, sinceMs };
  });
}
