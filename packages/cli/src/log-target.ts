/** What a person means by the log of something. Pure. */
import { AtelierError } from '@atelier/api';
import type { Environment } from '@atelier/api/gitpod/environment';
import type { Service, Task, TaskExecution } from '@atelier/api/gitpod/environment_automation';
import { lastExecution } from './automation-reference.ts';

/** One log with the name that a person knows it by. */
export interface LogTarget {
  readonly label: string;
  /** As the runner names it, such as `service/<id>`. */
  readonly name: string;
}

/** Everything of an environment that has a log. */
export interface LogSources {
  readonly environment: Environment;
  readonly services: readonly Service[];
  readonly tasks: readonly Task[];
  readonly executions: readonly TaskExecution[];
}

/**
 * The logs of a service, of the last run of a task with the tasks it depends on, or of a step of the start; without `what` those of every
 * step. `service/`, `task/` and `step/` before a name say which of them is meant. Errors: `not_found` with
 * what there is, `failed_precondition` for a task that never ran.
 */
export function logTargetsOf(sources: LogSources, what: string | undefined): LogTarget[] {
  const steps = sources.environment.status?.detail?.steps ?? [];
  const stepTargets = steps.map(({ name }) => stepTarget(name));
  if (what === undefined) return stepTargets;
  const [, kind, bare = what] = /^(service|task|step)\/(.+)$/.exec(what) ?? [];
  const isWanted = (item: Service | Task): boolean => item.id === bare || item.metadata?.reference === bare;
  const service = kind === undefined || kind === 'service' ? sources.services.find(isWanted) : undefined;
  if (service) return [{ label: bare, name: `service/${service.id}` }];
  const task = kind === undefined || kind === 'task' ? sources.tasks.find(isWanted) : undefined;
  if (task) return taskTargets(task, sources);
  const step = stepTargets.find(({ label, name }) => [label, name].includes(bare) || name === what);
  if (step && kind !== 'service' && kind !== 'task') return [step];
  throw new AtelierError('not_found', nothingCalled(what, sources, stepTargets));
}

function stepTarget(name: string): LogTarget {
  const isLifecycle = name.startsWith('lifecycle/');
  return { label: name.replace(/^lifecycle\//, ''), name: isLifecycle ? name : `step/${name}` };
}

function taskTargets(task: Task, { executions, tasks }: LogSources): LogTarget[] {
  const execution = lastExecution(executions, task.id);
  const reference = task.metadata?.reference ?? task.id;
  if (!execution) {
    const message = `task ${reference} has never run; start it with "atelier task start"`;
    throw new AtelierError('failed_precondition', message);
  }
  const steps = execution.spec?.plan.flatMap((group) => group.steps) ?? [];
  // The plan's services have logs of their own, which do not end with the task.
  return steps.flatMap(({ id, step, label }) => {
    if (step.case !== 'task') return [];
    const stepTask = tasks.find((each) => each.id === step.value.id);
    return [{ label: stepTask?.metadata?.reference ?? label, name: `task/${execution.id}/${id}` }];
  });
}

function nothingCalled(what: string, { services, tasks }: LogSources, steps: readonly LogTarget[]): string {
  const kinds = [
    ['services', services.map(({ metadata }) => metadata?.reference ?? '')],
    ['tasks', tasks.map(({ metadata }) => metadata?.reference ?? '')],
    ['steps', steps.map(({ label }) => label)],
  ] as const;
  const there = kinds.flatMap(([kind, names]) => (names.length > 0 ? [`${kind} ${names.join(', ')}`] : []));
  return `nothing here is called ${JSON.stringify(what)}; there are: ${there.join('; ') || 'no logs yet'}`;
}
