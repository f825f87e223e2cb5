/** `atelier service`: list, start, stop and restart services. */
import { AtelierError } from '@atelier/api';
import {
  EnvironmentAutomationService,
  ServicePhase,
  ServiceSchema,
  type Service,
} from '@atelier/api/gitpod/environment_automation';
import type { AtelierClient } from '@atelier/sdk';
import { listServices, selectAutomation } from '../automation-reference.ts';
import type { CommandContext, Format } from '../context.ts';
import { ownEnding } from '../ending.ts';
import { findEnvironment } from '../environment-reference.ts';
import { formatMessage, formatMessages } from '../output/message.ts';
import { serviceTable } from './status.ts';

interface Options {
  readonly output: Format;
}

/** Lists services with their state. */
export async function list(
  context: CommandContext,
  reference: string | undefined,
  options: Options,
): Promise<void> {
  const client = await context.connect();
  const environment = await findEnvironment(context, client, reference);
  const services = await listServices(client, environment.id);
  if (options.output === 'json') context.out(formatMessages(ServiceSchema, services));
  else context.out(serviceTable(services));
}

/** Starts a service and waits until it is ready; `failed_precondition` when it fails. */
export async function start(
  context: CommandContext,
  reference: string,
  name: string,
  options: Options,
): Promise<void> {
  const { client, service } = await find(context, reference, name);
  await client.service(EnvironmentAutomationService).startService({ id: service.id });
  await arrive(context, client, service, ServicePhase.RUNNING, options);
}

/** Stops a service and waits until it has stopped. */
export async function stop(
  context: CommandContext,
  reference: string,
  name: string,
  options: Options,
): Promise<void> {
  const { client, service } = await find(context, reference, name);
  await client.service(EnvironmentAutomationService).stopService({ id: service.id });
  await arrive(context, client, service, ServicePhase.STOPPED, options);
}

/** Stops a service, then starts it anew. */
export async function restart(
  context: CommandContext,
  reference: string,
  name: string,
  options: Options,
): Promise<void> {
  const { client, service } = await find(context, reference, name);
  const automations = client.service(EnvironmentAutomationService);
  await automations.stopService({ id: service.id });
  await arrive(context, client, service, ServicePhase.STOPPED, { output: 'table' });
  await automations.startService({ id: service.id });
  await arrive(context, client, service, ServicePhase.RUNNING, options);
}

async function find(context: CommandContext, reference: string, name: string) {
  const client = await context.connect();
  const environment = await findEnvironment(context, client, reference);
  const service = selectAutomation(await listServices(client, environment.id), name, 'service');
  return { client, service };
}

async function arrive(
  { system, progress, out }: CommandContext,
  client: AtelierClient,
  { id, environmentId, metadata }: Service,
  wanted: ServicePhase,
  options: Options,
): Promise<void> {
  const startedAtMs = system.clock.nowMs();
  const label = `service ${metadata?.reference ?? id} ${ServicePhase[wanted].toLowerCase()}`;
  const step = { key: `${label}#${startedAtMs}`, label, startedAtMs, message: '' };
  const ending = ownEnding(system);
  try {
    progress.update([{ ...step, state: 'running' }]);
    const arrived = await client.environments.waitFor(
      environmentId,
      ({ services }) => arrival(services.get(id), wanted),
      { signal: ending.signal },
    );
    progress.update([{ ...step, state: 'succeeded', tookMs: system.clock.nowMs() - startedAtMs }]);
    if (options.output === 'json') out(formatMessage(ServiceSchema, arrived));
  } finally {
    progress.end();
    ending.dispose();
  }
}

function arrival(service: Service | undefined, wanted: ServicePhase): Service | undefined {
  if (!service) throw new AtelierError('not_found', 'the service was deleted meanwhile');
  const { spec, status, metadata } = service;
  const reference = metadata?.reference ?? '';
  const phase = status?.phase ?? ServicePhase.UNSPECIFIED;
  if (wanted === ServicePhase.STOPPED) {
    const isOver = [ServicePhase.STOPPED, ServicePhase.FAILED, ServicePhase.UNSPECIFIED].includes(phase);
    return isOver ? service : undefined;
  }
  if (status?.session !== spec?.session) return undefined;
  if (phase === ServicePhase.FAILED) {
    const message = `service ${reference} failed: ${status?.failureMessage}; see "atelier logs" for what it printed`;
    throw new AtelierError('failed_precondition', message);
  }
  return phase === ServicePhase.RUNNING || phase === ServicePhase.STOPPED ? service : undefined;
}
