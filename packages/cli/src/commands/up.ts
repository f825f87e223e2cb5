/** `atelier up`: from a folder or a URL to a running environment. */
import { createHash } from 'node:crypto';
import { AtelierError, makeId, toAtelierError } from '@atelier/api';
import { ResourceService } from '@atelier/api/atelier/resource';
import { EnvironmentPhase, EnvironmentService, type Environment } from '@atelier/api/gitpod/environment';
import type { AtelierClient } from '@atelier/sdk';
import type { CommandContext, Format } from '../context.ts';
import { findClass } from '../environment-class.ts';
import { nameOf } from '../environment-facts.ts';
import { allEnvironmentsOf, contextUrlOf, severalHere } from '../environment-reference.ts';
import { followStart, type Begun } from '../up/follow.ts';

/** What may be said behind `up`. */
export interface UpOptions {
  readonly name?: string;
  readonly class?: string;
  readonly rebuild?: boolean;
  readonly output: Format;
}

/** Runs the command; the exit code is not 0 unless the environment, its dev container and its automations run. */
export async function run(
  context: CommandContext,
  source: string | undefined,
  options: UpOptions,
): Promise<number> {
  const url = contextUrlOf(source ?? '.', context.system.workingFolder);
  return followStart(context, options.output, (client) => begin(context, client, url, options));
}

/** Finds the environment of the folder, or makes it, and asks for what is missing. */
async function begin(
  context: CommandContext,
  client: AtelierClient,
  url: string,
  options: UpOptions,
): Promise<Begun> {
  for (;;) {
    const all = await allEnvironmentsOf(client, url);
    const named = all.filter(({ metadata }) => options.name === undefined || metadata?.name === options.name);
    const [existing, ...others] = named.filter(({ spec }) => spec?.desiredPhase !== EnvironmentPhase.DELETED);
    if (existing && others.length > 0) throw severalHere([existing, ...others]);
    if (existing) return resume(context, client, existing, options);
    const [doomed] = named;
    const environment = doomed ?? (await create(context, client, url, options));
    const isDoomed = environment.spec?.desiredPhase === EnvironmentPhase.DELETED;
    if (!isDoomed) return { environment, sinceMs: 0 };
    context.note(`the former environment ${nameOf(environment)} is still being deleted: waiting for that`);
    await client.environments
      .waitFor(environment.id, (view) => (view.environment ? undefined : true))
      .catch((thrown: unknown) => {
        if (toAtelierError(thrown).code !== 'not_found') throw thrown;
      });
  }
}

async function create(context: CommandContext, client: AtelierClient, url: string, options: UpOptions) {
  const { planeId } = await client.service(ResourceService).getPlane({});
  const environmentClass = options.class === undefined ? undefined : await findClass(client, options.class);
  const request = {
    ...(options.name !== undefined && { name: options.name }),
    spec: {
      ...(environmentClass && { machine: { class: environmentClass.id } }),
      content: { initializer: { specs: [{ spec: { case: 'contextUrl' as const, value: { url } } }] } },
    },
  };
  for (let generation = 1; ; generation += 1) {
    // Two commands on one folder at once try the same keys in the same order: one environment comes of it.
    const facts = JSON.stringify([planeId, url, options.name ?? '', generation]);
    const key = createHash('sha256').update(facts).digest('hex');
    try {
      const environment = await client.environments.create(request, key);
      context.note(`environment ${nameOf(environment)} of ${environment.metadata?.originalContextUrl ?? ''}`);
      return environment;
    } catch (thrown) {
      if (!isUsedUp(toAtelierError(thrown))) throw thrown;
    }
  }
}

/** Whether the key made an environment that was deleted since. */
function isUsedUp({ code, message }: AtelierError): boolean {
  return code === 'failed_precondition' && message.includes('idempotency key');
}

async function resume(
  { system, note }: CommandContext,
  client: AtelierClient,
  environment: Environment,
  options: UpOptions,
): Promise<Begun> {
  const environments = client.service(EnvironmentService);
  const { id: environmentId, spec, status } = environment;
  if (options.class !== undefined && (await findClass(client, options.class)).id !== spec?.machine?.class) {
    const message = `environment ${nameOf(environment)} has another class; delete it first, or choose another --name`;
    throw new AtelierError('failed_precondition', message);
  }
  const isStopped =
    spec?.desiredPhase === EnvironmentPhase.STOPPED || status?.phase === EnvironmentPhase.STOPPED;
  const sinceMs = system.clock.nowMs();
  if (options.rebuild) {
    note(`rebuilding environment ${nameOf(environment)}`);
    const session = makeId(sinceMs, system.random);
    await environments.updateEnvironment({ environmentId, spec: { devcontainer: { session } } });
  }
  if (isStopped) {
    note(`starting environment ${nameOf(environment)}`);
    await environments.startEnvironment({ environmentId });
  }
  if (options.rebuild || isStopped) return { environment, sinceMs };
  // Another command may have begun it a moment ago: then its steps are worth seeing from the first on.
  return { environment, sinceMs: status?.phase === EnvironmentPhase.RUNNING ? undefined : 0 };
}
