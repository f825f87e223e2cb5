/** `atelier task`: list, start and stop tasks. */
import { AtelierError } from '@atelier/api';
import {
  EnvironmentAutomationService,
  TaskExecutionPhase,
  TaskExecutionSchema,
  TaskSchema,
  type Task,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import { lastExecution, listExecutions, listTasks, selectAutomation } from '../automation-reference.ts';
import type { CommandContext, Format } from '../context.ts';
import { atMs, executionPhaseOf } from '../environment-facts.ts';
import { findEnvironment } from '../environment-reference.ts';
import { formatDuration } from '../output/duration.ts';
import { formatMessage, formatMessages } from '../output/message.ts';
import { formatTable } from '../output/table.ts';

interface Options {
  readonly output: Format;
}

/** Lists tasks with their last run. */
export async function list(
  context: CommandContext,
  reference: string | undefined,
  options: Options,
): Promise<void> {
  const client = await context.connect();
  const { id } = await findEnvironment(context, client, reference);
  const tasks = await listTasks(client, id);
  if (options.output === 'json') return context.out(formatMessages(TaskSchema, tasks));
  context.out(taskTable(tasks, await listExecutions(client, id), context.system.clock.nowMs()));
}

/** Starts a task and prints its execution; `atelier task logs -f` shows it to its end. */
export async function start(
  context: CommandContext,
  reference: string,
  name: string,
  options: Options,
): Promise<void> {
  const client = await context.connect();
  const { id } = await findEnvironment(context, client, reference);
  const task = selectAutomation(await listTasks(client, id), name, 'task');
  const { taskExecution } = await client.service(EnvironmentAutomationService).startTask({ id: task.id });
  if (!taskExecution)
    throw new AtelierError('internal', 'the management plane answered without an execution');
  if (options.output === 'json') context.out(formatMessage(TaskExecutionSchema, taskExecution));
  else context.out(`${taskExecution.id}\n`);
}

/** Stops the running execution of a task; `failed_precondition` when none runs. */
export async function stop(context: CommandContext, reference: string, name: string): Promise<void> {
  const client = await context.connect();
  const environment = await findEnvironment(context, client, reference);
  const task = selectAutomation(await listTasks(client, environment.id), name, 'task');
  const running = (await listExecutions(client, environment.id)).filter(
    (execution) => execution.metadata?.taskId === task.id && isRunning(execution),
  );
  if (running.length === 0) throw new AtelierError('failed_precondition', `task ${name} is not running`);
  for (const { id } of running) await client.service(EnvironmentAutomationService).stopTaskExecution({ id });
}

function isRunning({ status }: TaskExecution): boolean {
  return status?.phase === TaskExecutionPhase.PENDING || status?.phase === TaskExecutionPhase.RUNNING;
}

/** The table of `task list`. */
export function taskTable(
  tasks: readonly Task[],
  executions: readonly TaskExecution[],
  nowMs: number,
): string {
  const rows = tasks.map(({ id, metadata }) => {
    const last = lastExecution(executions, id);
    const startedAtMs = atMs(last?.metadata?.startedAt);
    const endedAtMs = atMs(last?.metadata?.completedAt) ?? nowMs;
    const took = startedAtMs === undefined ? '' : formatDuration(endedAtMs - startedAtMs);
    const phase = last ? executionPhaseOf(last) : 'never ran';
    return [metadata?.reference ?? '', phase, took, metadata?.name ?? '', last?.status?.failureMessage ?? ''];
  });
  return formatTable(['TASK', 'LAST RUN', 'TOOK', 'NAME', 'MESSAGE'], rows);
}
