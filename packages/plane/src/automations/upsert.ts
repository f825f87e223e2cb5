/** Writes what an automations file asks for: services and tasks are made, changed and removed by reference. */
import {
  ServicePhase,
  TaskSchema,
  type AutomationsFile,
  type Service,
  type ServiceMetadata,
  type ServiceSpec,
  type Task,
  type TaskMetadata,
  type TaskSpec,
} from '@atelier/api/gitpod/environment_automation';
import type { Subject } from '@atelier/api/gitpod/subject';
import { planUpsert, type DeclarationChanges } from '@atelier/reconcile';
import type { Row } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import { newId, type PlaneContext } from '../context.ts';
import { makeService, makeTask } from './records.ts';
import { rowsOf } from './start.ts';

/** Ids of what was made or changed. */
export interface Upserted {
  readonly updatedServiceIds: string[];
  readonly updatedTaskIds: string[];
}

/** Brings services and tasks to what the file says. A second call with the same file changes nothing. */
export async function upsertAutomationsFile(
  plane: PlaneContext,
  environment: Row<'environment'>,
  file: AutomationsFile,
  creator: Subject,
): Promise<Upserted> {
  const [services, tasks] = await Promise.all([
    rowsOf(plane.store, 'service', environment.id),
    rowsOf(plane.store, 'task', environment.id),
  ]);
  const plan = planUpsert(
    file,
    services.map(({ value }) => value),
    tasks.map(({ value }) => value),
  );
  const upsert = { plane, environment, creator };
  const updatedServiceIds = await writeServices(upsert, plan.services);
  const updatedTaskIds = await writeTasks(upsert, plan.tasks, file, tasks);
  return { updatedServiceIds, updatedTaskIds };
}

interface Upsert {
  readonly plane: PlaneContext;
  readonly environment: Row<'environment'>;
  readonly creator: Subject;
}

function factsOf({ plane, environment, creator }: Upsert) {
  return { id: newId(plane), environmentId: environment.id, creator, nowMs: plane.clock.nowMs() };
}

async function writeServices(
  upsert: Upsert,
  changes: DeclarationChanges<ServiceMetadata, ServiceSpec>,
): Promise<string[]> {
  const { plane, environment } = upsert;
  const ids: string[] = [];
  for (const { metadata, spec } of changes.create) {
    const facts = factsOf(upsert);
    ids.push(facts.id);
    await plane.store.create('service', {
      id: facts.id,
      organizationId: environment.organizationId,
      environmentId: environment.id,
      name: { owner: environment.id, text: metadata.reference },
      value: makeService(facts, metadata, spec),
    });
  }
  for (const { id, metadata, spec } of changes.update) {
    ids.push(id);
    const version = (service: Service): bigint => (service.spec?.specVersion ?? 0n) + 1n;
    await plane.store.update('service', id, (service) => ({
      ...service,
      metadata,
      spec: { ...spec, specVersion: version(service) },
    }));
  }
  for (const { id, stopFirst } of changes.remove) {
    if (!stopFirst) await plane.store.delete('service', id);
    else await plane.store.update('service', id, stopAndDelete);
  }
  return ids;
}

/** The runner stops it; the environment's controller removes it when it has stopped. */
function stopAndDelete(service: Service): Service | undefined {
  if (!service.spec || service.spec.desiredPhase === ServicePhase.DELETED) return undefined;
  service.spec.desiredPhase = ServicePhase.DELETED;
  service.spec.specVersion += 1n;
  return service;
}

/**
 * Tasks name each other by reference in the file and by id in the API. The ids are chosen first, so that no
 * task is there for a moment without what it depends on: a trigger could fire in that moment.
 */
async function writeTasks(
  upsert: Upsert,
  changes: DeclarationChanges<TaskMetadata, TaskSpec>,
  file: AutomationsFile,
  existing: readonly Row<'task'>[],
): Promise<string[]> {
  const { plane, environment } = upsert;
  const made = changes.create.map((declaration) => ({ ...declaration, facts: factsOf(upsert) }));
  const idByReference = new Map([
    ...existing.map(({ id, value }) => [value.metadata?.reference ?? '', id] as const),
    ...made.map(({ metadata, facts }) => [metadata.reference, facts.id] as const),
  ]);
  const dependsOnOf = (reference = ''): string[] | undefined =>
    file.tasks[reference]?.dependsOn.flatMap((each) => (file.tasks[each] && idByReference.get(each)) ?? []);
  for (const { metadata, spec, facts } of made) {
    await plane.store.create('task', {
      id: facts.id,
      organizationId: environment.organizationId,
      environmentId: environment.id,
      name: { owner: environment.id, text: metadata.reference },
      value: makeTask(facts, metadata, spec, dependsOnOf(metadata.reference)),
    });
  }
  const updates = new Map(changes.update.map((update) => [update.id, update]));
  for (const { id, value } of existing) {
    const { metadata = value.metadata, spec = value.spec } = updates.get(id) ?? {};
    const dependsOn = dependsOnOf(value.metadata?.reference) ?? value.dependsOn;
    if (!updates.has(id) && value.dependsOn.join() === dependsOn.join()) continue;
    await plane.store.update('task', id, (task) =>
      create(TaskSchema, { ...task, metadata, spec, dependsOn } as Task),
    );
  }
  for (const { id } of changes.remove) await plane.store.delete('task', id);
  return [...made.map(({ facts }) => facts.id), ...updates.keys()];
}
