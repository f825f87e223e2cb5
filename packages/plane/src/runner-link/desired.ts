/** What a runner is told to do: the desired set, and which part of it a change concerns. */
import {
  DesiredChangeSchema,
  DesiredEnvironmentSchema,
  type DesiredChange,
  type DesiredEnvironment,
} from '@atelier/api/atelier/runner_link';
import { EnvironmentSchema, EnvironmentStatusSchema } from '@atelier/api/gitpod/environment';
import { ServiceSchema } from '@atelier/api/gitpod/environment_automation';
import type { Change, Row, Store } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import { hasEnded } from '../automations/records.ts';
import { rowsOf } from '../automations/start.ts';
import type { Principal } from '../identity/principal.ts';

const pageSize = 100;

/** The whole desired set of a runner. */
export async function wholeDesired(store: Store, runnerId: string): Promise<DesiredChange> {
  const revision = await store.revision();
  const environments: DesiredEnvironment[] = [];
  let pageToken = '';
  do {
    const page = await store.list('environment', {
      attributes: { runnerId: [runnerId] },
      pageSize,
      pageToken,
    });
    for (const row of page.rows) environments.push(await desiredOf(store, row));
    pageToken = page.nextToken;
  } while (pageToken !== '');
  return create(DesiredChangeSchema, { revision, whole: true, environments });
}

/**
 * The part of the desired set that these changes concern; undefined when none does. Changes of status alone
 * are what the runner said itself, so they say nothing to it.
 */
export async function partialDesired(
  store: Store,
  runner: Pick<Principal, 'id' | 'organizationId'>,
  changes: readonly Change[],
  cursor: bigint,
): Promise<DesiredChange | undefined> {
  const concerned = new Set<string>();
  const forgottenIds: string[] = [];
  let revision = cursor;
  for (const change of changes) {
    const facts = change.type === 'row' ? change.row : change;
    if (facts.revision > revision) revision = facts.revision;
    if (facts.organizationId !== runner.organizationId) continue;
    if (change.type === 'deleted' && change.kind === 'environment') forgottenIds.push(change.id);
    else if (change.type === 'deleted') concerned.add(change.environmentId);
    else if (change.row.contentRevision > cursor) {
      concerned.add(change.row.kind === 'environment' ? change.row.id : change.row.environmentId);
    }
  }
  const environments: DesiredEnvironment[] = [];
  for (const id of concerned) {
    const row = id === '' ? undefined : await store.get('environment', id);
    if (row?.value.metadata?.runnerId === runner.id) environments.push(await desiredOf(store, row));
  }
  if (environments.length === 0 && forgottenIds.length === 0) return undefined;
  return create(DesiredChangeSchema, { revision, environments, forgottenIds });
}

async function desiredOf(store: Store, row: Row<'environment'>): Promise<DesiredEnvironment> {
  const { id, metadata, spec, status } = row.value;
  const classId = spec?.machine?.class ?? '';
  const [services, executions, environmentClass] = await Promise.all([
    rowsOf(store, 'service', id),
    rowsOf(store, 'taskExecution', id),
    classId === '' ? undefined : store.get('environmentClass', classId),
  ]);
  const activity = status?.activitySignal;
  const known = create(EnvironmentStatusSchema, activity ? { activitySignal: activity } : {});
  const environment = create(EnvironmentSchema, { id, status: known });
  if (metadata) environment.metadata = metadata;
  if (spec) environment.spec = spec;
  const desired = create(DesiredEnvironmentSchema, {
    environment,
    services: services.map(({ value }) => {
      const service = create(ServiceSchema, { id: value.id, environmentId: value.environmentId });
      if (value.metadata) service.metadata = value.metadata;
      if (value.spec) service.spec = value.spec;
      return service;
    }),
    executions: executions.map(({ value }) => value).filter((execution) => !hasEnded(execution)),
  });
  if (environmentClass) desired.environmentClass = environmentClass.value;
  return desired;
}
