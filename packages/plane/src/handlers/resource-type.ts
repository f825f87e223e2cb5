/** Kinds of the store and resource types of the wire. */
import { ResourceType } from '@atelier/api/gitpod/event';
import type { Kind } from '@atelier/store';

const types: Partial<Record<Kind, ResourceType>> = {
  environment: ResourceType.ENVIRONMENT,
  runner: ResourceType.RUNNER,
  task: ResourceType.TASK,
  taskExecution: ResourceType.TASK_EXECUTION,
  service: ResourceType.SERVICE,
};

/** The wire's name for a kind that clients can watch. */
export function resourceTypeOf(kind: Kind): ResourceType {
  return types[kind] ?? ResourceType.UNSPECIFIED;
}

/** The kind behind a type; undefined for what cannot be watched here. */
export function kindOf(type: ResourceType): Kind | undefined {
  return (Object.keys(types) as Kind[]).find((kind) => types[kind] === type);
}

/** What an organization's watch shows. */
export const organizationKinds: readonly Kind[] = ['environment', 'runner'];

/** What an environment's watch shows. */
export const environmentKinds: readonly Kind[] = ['environment', 'service', 'task', 'taskExecution'];
