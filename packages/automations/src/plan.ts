/** Frozen plans: which tasks run and which services must be ready, in which order. */
import { AtelierError } from '@atelier/api';
import {
  TaskExecutionSpec_GroupSchema,
  TaskExecutionSpec_StepSchema,
  type TaskExecutionSpec_Group,
  type TaskExecutionSpec_Step,
  TaskSpecSchema,
  type TaskSpec,
} from '@atelier/api/gitpod/environment_automation';
import { clone, create } from '@bufbuild/protobuf';

/** A service as a plan sees it. Ids are any names that are unique over tasks and services together. */
export interface ServiceNode {
  id: string;
  label: string;
  /** Ids of the services that must be ready first. */
  dependsOn: readonly string[];
}

/** A task as a plan sees it. */
export interface TaskNode {
  id: string;
  label: string;
  spec: TaskSpec;
  /** Ids of the tasks that must have succeeded and of the services that must be ready first. */
  dependsOn: readonly string[];
}

/**
 * Freezes the plan of one execution of a task: it and all it depends on, each once. A group's steps depend
 * only on steps of earlier groups; within a group they are in the order of their ids. A step's id is that of
 * its task or service. Answers the groups of `TaskExecutionSpec.plan`. `not_found` for an unknown task,
 * `failed_precondition` for a dependency that does not exist or a cycle.
 */
export function planExecution(
  taskId: string,
  tasks: readonly TaskNode[],
  services: readonly ServiceNode[],
): TaskExecutionSpec_Group[] {
  const nodes = new Map<string, TaskNode | ServiceNode>();
  for (const node of [...services, ...tasks]) nodes.set(node.id, node);
  if (!tasks.some((task) => task.id === taskId)) {
    throw new AtelierError('not_found', `There is no task ${taskId}. List the tasks to see their names.`);
  }
  return dependencyLevels(taskId, nodes).map((level) =>
    create(TaskExecutionSpec_GroupSchema, { steps: level.map(planStep) }),
  );
}

function planStep(node: TaskNode | ServiceNode): TaskExecutionSpec_Step {
  const { id, label } = node;
  const dependsOn = [...new Set(node.dependsOn)].sort();
  if (!('spec' in node)) {
    const step = { case: 'serviceId', value: id } as const;
    return create(TaskExecutionSpec_StepSchema, { id, label, dependsOn, step });
  }
  const spec = clone(TaskSpecSchema, node.spec);
  const step = { case: 'task', value: { id, spec } } as const;
  return create(TaskExecutionSpec_StepSchema, { id, label, dependsOn, step });
}

/**
 * The ids of a service and of all the services it depends on, dependencies first: the order in which to ask
 * for their start. Errors as in {@link planExecution}.
 */
export function serviceStartOrder(serviceId: string, services: readonly ServiceNode[]): string[] {
  const nodes = new Map(services.map((service) => [service.id, service]));
  if (!nodes.has(serviceId)) {
    throw new AtelierError(
      'not_found',
      `There is no service ${serviceId}. List the services to see their names.`,
    );
  }
  return dependencyLevels(serviceId, nodes)
    .flat()
    .map((node) => node.id);
}

interface DependencyNode {
  id: string;
  dependsOn: readonly string[];
}

/** All that `id` depends on and itself, by length of the longest way down: level 0 depends on nothing. */
function dependencyLevels<Node extends DependencyNode>(
  id: string,
  nodes: ReadonlyMap<string, Node>,
): Node[][] {
  const heights = new Map<string, number>();
  const levels: Node[][] = [];
  const visit = (current: string, way: readonly string[]): number => {
    const known = heights.get(current);
    if (known !== undefined) return known;
    const node = nodes.get(current);
    if (!node) {
      throw new AtelierError(
        'failed_precondition',
        `${way.at(-1)} depends on ${current}, which does not exist. Correct its dependsOn.`,
      );
    }
    if (way.includes(current)) {
      const cycle = [...way.slice(way.indexOf(current)), current].join(' -> ');
      throw new AtelierError(
        'failed_precondition',
        `Dependencies go round: ${cycle}. Take one of them away.`,
      );
    }
    const height = Math.max(-1, ...node.dependsOn.map((next) => visit(next, [...way, current]))) + 1;
    heights.set(current, height);
    (levels[height] ??= []).push(node);
    return height;
  };
  visit(id, []);
  return levels.map((level) => level.sort((left, right) => (left.id < right.id ? -1 : 1)));
}
