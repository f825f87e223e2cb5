/** Writes what an automations file asks for: services and tasks are made, changed and removed by reference. */
import {
  ServicePhase,
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
  const updatedTaskIds = await writeTasks(upsert, plan.tasks);
  await writeTaskDependencies(upsert, file);
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

async function writeTasks(
  upsert: Upsert,
  changes: DeclarationChanges<TaskMetadata, TaskSpec>,
): Promise<string[]> {
  const { plane, environment } = upsert;
  const ids: string[] = [];
  for (const { metadata, spec } of changes.create) {
    const facts = factsOf(upsert);
    ids.push(facts.id);
    await plane.store.create('task', {
      id: facts.id,
      organizationId: environment.organizationId,
      environmentId: environment.id,
      name: { owner: environment.id, text: metadata.reference },
      value: makeTask(facts, metadata, spec),
    });
  }
  for (const { id, metadata, spec } of changes.update) {
    ids.push(id);
    await plane.store.update('task', id, (task) => ({ ...task, metadata, spec }));
  }
  for (const { id } of changes.remove) await plane.store.delete('task', id);
  return ids;
}

/** Tasks name each other by reference in the file and by id in the API: known only after all are made. */
async function writeTaskDependencies({ plane, environment }: Upsert, file: AutomationsFile): Promise<void> {
  const tasks = await rowsOf(plane.store, 'task', environment.id);
  const idOf = (reference: string): string[] =>
    tasks.filter(({ value }) => value.metadata?.reference === reference).map(({ id }) => id);
  for (const { id, value } of tasks) {
    const entry = file.tasks[value.metadata?.reference ?? ''];
    if (!entry) continue;
    const dependsOn = entry.dependsOn.flatMap(idOf);
    const same = (task: Task): boolean => task.dependsOn.join() === dependsOn.join();
    if (!same(value))
      await plane.store.update('task', id, (task) => (same(task) ? undefined : { ...task, dependsOn }));
  }
}
