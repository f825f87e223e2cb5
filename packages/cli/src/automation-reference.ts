/** Services and tasks of an environment by the names that its automations file gives them. */
import { AtelierError } from '@atelier/api';
import {
  EnvironmentAutomationService,
  type Service,
  type Task,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import type { PaginationResponse } from '@atelier/api/gitpod/pagination';
import type { AtelierClient } from '@atelier/sdk';

const pageSize = 100;

/** All services of an environment, by reference. */
export async function listServices(client: AtelierClient, environmentId: string): Promise<Service[]> {
  const automations = client.service(EnvironmentAutomationService);
  const filter = { environmentIds: [environmentId] };
  const services = await allPages(async (token) => {
    const page = await automations.listServices({ pagination: { pageSize, token }, filter });
    return { items: page.services, pagination: page.pagination };
  });
  return services.sort(byReference);
}

/** All tasks of an environment, by reference. */
export async function listTasks(client: AtelierClient, environmentId: string): Promise<Task[]> {
  const automations = client.service(EnvironmentAutomationService);
  const filter = { environmentIds: [environmentId] };
  const tasks = await allPages(async (token) => {
    const page = await automations.listTasks({ pagination: { pageSize, token }, filter });
    return { items: page.tasks, pagination: page.pagination };
  });
  return tasks.sort(byReference);
}

/** All executions in an environment, oldest first. */
export async function listExecutions(client: AtelierClient, environmentId: string): Promise<TaskExecution[]> {
  const automations = client.service(EnvironmentAutomationService);
  const filter = { environmentIds: [environmentId] };
  const executions = await allPages(async (token) => {
    const page = await automations.listTaskExecutions({ pagination: { pageSize, token }, filter });
    return { items: page.taskExecutions, pagination: page.pagination };
  });
  return executions.sort((one, other) => createdOf(one) - createdOf(other));
}

async function allPages<Item>(
  read: (token: string) => Promise<{ items: Item[]; pagination: PaginationResponse | undefined }>,
): Promise<Item[]> {
  const all: Item[] = [];
  for (let token = ''; ;) {
    const { items, pagination } = await read(token);
    all.push(...items);
    token = pagination?.nextToken ?? '';
    if (token === '') return all;
  }
}

function createdOf({ metadata }: TaskExecution): number {
  return Number(metadata?.createdAt?.seconds ?? 0n) * 1e3 + (metadata?.createdAt?.nanos ?? 0) / 1e6;
}

/** The last execution of a task; undefined when it never ran. */
export function lastExecution(
  executions: readonly TaskExecution[],
  taskId: string,
): TaskExecution | undefined {
  return executions.findLast(({ metadata }) => metadata?.taskId === taskId);
}

/** The one of this reference or id; `not_found` with those that there are. `what` is `service` or `task`. */
export function selectAutomation<Item extends Service | Task>(
  items: readonly Item[],
  reference: string,
  what: 'service' | 'task',
): Item {
  const found = items.find(({ id, metadata }) => id === reference || metadata?.reference === reference);
  if (found) return found;
  const names = items.map(({ metadata }) => metadata?.reference ?? '').join(', ');
  const others = names === '' ? `this environment has no ${what}s` : `there are: ${names}`;
  throw new AtelierError('not_found', `there is no ${what} ${JSON.stringify(reference)}; ${others}`);
}

function byReference(one: Service | Task, other: Service | Task): number {
  const [left, right] = [one, other].map(({ metadata }) => metadata?.reference ?? '');
  return (left ?? '') < (right ?? '') ? -1 : 1;
}
