/** `atelier delete`: nothing is left of an environment. */
import { toAtelierError } from '@atelier/api';
import { EnvironmentPhase, EnvironmentService } from '@atelier/api/gitpod/environment';
import type { CommandContext, Format } from '../context.ts';
import { nameOf } from '../environment-facts.ts';
import { findEnvironment } from '../environment-reference.ts';
import { formatJson } from '../output/json.ts';
import { waitForPhase } from '../phase-wait.ts';

/** Runs the command; returns when nothing is left. */
export async function run(
  context: CommandContext,
  reference: string,
  options: { readonly output: Format },
): Promise<number> {
  const client = await context.connect();
  const environment = await findEnvironment(context, client, reference);
  const { id } = environment;
  await client.service(EnvironmentService).deleteEnvironment({ environmentId: id });
  await waitForPhase(context, client, id, {
    label: `delete ${nameOf(environment)}`,
    wanted: EnvironmentPhase.DELETED,
    goesOn: `environment ${nameOf(environment)} goes on being deleted`,
  }).catch((thrown: unknown) => {
    // It may be gone before the watch begins.
    if (toAtelierError(thrown).code !== 'not_found') throw thrown;
  });
  if (options.output === 'json') context.out(formatJson({ id, deleted: true }));
  return 0;
}
