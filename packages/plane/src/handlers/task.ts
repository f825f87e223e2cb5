/** gitpod.v1.EnvironmentAutomationService: tasks and their executions. Services are in automation.ts. */
import { AtelierError } from '@atelier/api';
import {
  TaskExecutionPhase,
  TaskSpecSchema,
  type EnvironmentAutomationService,
  type Task,
  type UpdateTaskRequest,
} from '@atelier/api/gitpod/environment_automation';
import type { Row } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { hasEnded, makeTask } from '../automations/records.ts';
import { startTask } from '../automations/start.ts';
import { newId, type PlaneContext } from '../context.ts';
import { requireUser, type Principal } from '../identity/principal.ts';
import { requireRunning, subjectOf } from './automation.ts';
import { findEnvironment } from './environment.ts';
import { enumNames, paginationOf, pagingOf } from './paging.ts';

type Implementation = Partial<ServiceImpl<typeof EnvironmentAutomationService>>;

/** The task half of the automation service on a plane. */
export function taskHandlers(plane: PlaneContext): Implementation {
  const { store, clock } = plane;
  const own = async (id: string, context: HandlerContext) => findTask(plane, id, requireUser(context));

  return {
    async createTask(request, context) {
      const user = requireUser(context);
      const environment = await findEnvironment(plane, request.environmentId, user);
      const id = newId(plane);
      const facts = { id, environmentId: environment.id, creator: subjectOf(user), nowMs: clock.nowMs() };
      const row = await store.create('task', {
        id,
        organizationId: user.organizationId,
        environmentId: environment.id,
        name: { owner: environment.id, text: request.metadata?.reference || id },
        value: makeTask(facts, request.metadata, request.spec, request.dependsOn),
      });
      return { task: row.value };
    },
    async getTask(request, context) {
      return { task: (await own(request.id, context)).value };
    },
    async listTasks(request, context) {
      const page = await store.list('task', {
        organizationId: requireUser(context).organizationId,
        ...pagingOf(request.pagination),
        environmentIds: request.filter?.environmentIds ?? [],
        ids: request.filter?.taskIds ?? [],
        attributes: { reference: request.filter?.references ?? [] },
      });
      return { tasks: page.rows.map((row) => row.value), pagination: paginationOf(page) };
    },
    async updateTask(request, context) {
      await own(request.id, context);
      await store.update('task', request.id, (task) => applyUpdate(task, request));
      return {};
    },
    async deleteTask(request, context) {
      await store.delete('task', (await own(request.id, context)).id);
      return {};
    },
    async startTask(request, context) {
      const user = requireUser(context);
      const row = await own(request.id, context);
      await requireRunning(plane, row.environmentId, user);
      const start = { id: newId(plane), creator: subjectOf(user), startedBy: 'manual' };
      return { taskExecution: await startTask(plane, row.value, start) };
    },
    ...executionHandlers(plane),
  };
}

function executionHandlers(plane: PlaneContext): Implementation {
  const { store } = plane;
  const find = async (id: string, context: HandlerContext): Promise<Row<'taskExecution'>> => {
    const row = await store.get('taskExecution', id);
    if (row?.organizationId === requireUser(context).organizationId) return row;
    throw new AtelierError('not_found', `task execution ${id} does not exist`);
  };
  return {
    async getTaskExecution(request, context) {
      return { taskExecution: (await find(request.id, context)).value };
    },
    async listTaskExecutions(request, context) {
      const { organizationId } = requireUser(context);
      const { filter } = request;
      const taskIds = [...(filter?.taskIds ?? [])];
      if (filter?.taskReferences.length) {
        const attributes = { reference: filter.taskReferences };
        const tasks = await store.list('task', { organizationId, attributes, pageSize: 100 });
        taskIds.push(...tasks.rows.map((row) => row.id), 'no task has this reference');
      }
      const page = await store.list('taskExecution', {
        organizationId,
        ...pagingOf(request.pagination),
        environmentIds: filter?.environmentIds ?? [],
        attributes: { taskId: taskIds, phase: enumNames(TaskExecutionPhase, filter?.phases ?? []) },
      });
      return { taskExecutions: page.rows.map((row) => row.value), pagination: paginationOf(page) };
    },
    async stopTaskExecution(request, context) {
      await find(request.id, context);
      await store.update('taskExecution', request.id, (execution) => {
        if (!execution.spec || hasEnded(execution)) return undefined;
        if (execution.spec.desiredPhase === TaskExecutionPhase.STOPPED) return undefined;
        execution.spec.desiredPhase = TaskExecutionPhase.STOPPED;
        return execution;
      });
      return {};
    },
  };
}

async function findTask(plane: PlaneContext, id: string, user: Principal): Promise<Row<'task'>> {
  const row = await plane.store.get('task', id);
  if (row?.organizationId === user.organizationId) return row;
  throw new AtelierError('not_found', `task ${id} does not exist`);
}

function applyUpdate(task: Task, request: UpdateTaskRequest): Task {
  const { metadata } = task;
  if (metadata && request.metadata) {
    metadata.name = request.metadata.name ?? metadata.name;
    metadata.description = request.metadata.description ?? metadata.description;
    if (request.metadata.triggeredBy) metadata.triggeredBy = request.metadata.triggeredBy.trigger;
  }
  if (request.spec) {
    const spec = (task.spec ??= create(TaskSpecSchema));
    spec.command = request.spec.command ?? spec.command;
    spec.prebuildRequiresSuccess = request.spec.prebuildRequiresSuccess ?? spec.prebuildRequiresSuccess;
    if (request.spec.runsOn) spec.runsOn = request.spec.runsOn;
    if (request.spec.env.length > 0) spec.env = request.spec.env;
  }
  if (request.dependsOn.length > 0) task.dependsOn = request.dependsOn;
  return task;
}
