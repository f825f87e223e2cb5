/** Starting services and tasks: whatever they depend on is started with them. */
import { planExecution, serviceStartOrder, type ServiceNode, type TaskNode } from '@atelier/automations';
import {
  ServicePhase,
  TaskSpecSchema,
  type Service,
  type Task,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import type { Subject } from '@atelier/api/gitpod/subject';
import type { Kind, Row, Store } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import { newId, type PlaneContext } from '../context.ts';
import { makeExecution } from './records.ts';

const rowsMax = 100;

/** All rows of a kind that belong to an environment. */
export async function rowsOf<K extends Kind>(
  store: Store,
  kind: K,
  environmentId: string,
): Promise<Row<K>[]> {
  const rows: Row<K>[] = [];
  let pageToken = '';
  do {
    const page = await store.list(kind, { environmentIds: [environmentId], pageSize: rowsMax, pageToken });
    rows.push(...page.rows);
    pageToken = page.nextToken;
  } while (pageToken !== '');
  return rows;
}

/** Makes the service and all it depends on run; those that do or will are left alone. */
export async function startService(plane: PlaneContext, service: Service, session: string): Promise<void> {
  const services = (await rowsOf(plane.store, 'service', service.environmentId)).map((row) => row.value);
  for (const id of serviceStartOrder(
    service.id,
    services.map((each) => serviceNode(each, services)),
  )) {
    await plane.store.update('service', id, (each) => (desireRunning(each, session) ? each : undefined));
  }
}

/** Asks for a run; false when one is asked for already and has not ended. */
export function desireRunning(service: Service, session: string): boolean {
  if (!service.spec) return false;
  const running = service.spec.desiredPhase === ServicePhase.RUNNING;
  const phase = service.status?.phase ?? ServicePhase.UNSPECIFIED;
  const ended = phase === ServicePhase.STOPPED || phase === ServicePhase.FAILED;
  const seen = service.status?.session === service.spec.session;
  if (running && !(ended && seen)) return false;
  service.spec.desiredPhase = ServicePhase.RUNNING;
  service.spec.session = session;
  service.spec.specVersion += 1n;
  return true;
}

/** What starts an execution. */
export interface ExecutionStart {
  /** The id of the execution: the same id twice is the same execution. */
  readonly id: string;
  readonly creator: Subject;
  /** `manual`, or the trigger's name. */
  readonly startedBy: string;
}

/** Freezes the task's plan and writes the execution; the services that it waits for are started. */
export async function startTask(
  plane: PlaneContext,
  task: Task,
  start: ExecutionStart,
): Promise<TaskExecution> {
  const { store, clock } = plane;
  const [tasks, services] = await Promise.all([
    rowsOf(store, 'task', task.environmentId),
    rowsOf(store, 'service', task.environmentId),
  ]);
  const allServices = services.map((row) => row.value);
  const plan = planExecution(
    task.id,
    tasks.map((row) => taskNode(row.value, allServices)),
    allServices.map((each) => serviceNode(each, allServices)),
  );
  for (const step of plan.flatMap((group) => group.steps)) {
    if (step.step.case !== 'serviceId') continue;
    await store.update('service', step.step.value, (each) =>
      desireRunning(each, newId(plane)) ? each : undefined,
    );
  }
  const facts = {
    id: start.id,
    environmentId: task.environmentId,
    creator: start.creator,
    nowMs: clock.nowMs(),
  };
  const row = await store.create('taskExecution', {
    id: start.id,
    organizationId: tasks[0]?.organizationId ?? '',
    environmentId: task.environmentId,
    idempotencyKey: start.id,
    value: makeExecution(facts, task.id, plan, start.startedBy),
  });
  return row.value;
}

function serviceNode(service: Service, services: readonly Service[]): ServiceNode {
  const references = service.metadata?.dependencies?.dependsOn ?? [];
  return { id: service.id, label: service.metadata?.reference ?? '', dependsOn: idsOf(references, services) };
}

function taskNode(task: Task, services: readonly Service[]): TaskNode {
  const references = task.metadata?.dependencies?.dependsOnServices ?? [];
  return {
    id: task.id,
    label: task.metadata?.reference ?? '',
    spec: task.spec ?? create(TaskSpecSchema),
    dependsOn: [...task.dependsOn, ...idsOf(references, services)],
  };
}

/** A reference that nothing has is kept, so that the planner names it in its error. */
function idsOf(references: readonly string[], services: readonly Service[]): string[] {
  return references.map(
    (reference) => services.find((each) => each.metadata?.reference === reference)?.id ?? reference,
  );
}
