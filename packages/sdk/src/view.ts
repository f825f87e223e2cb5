/** One environment with its automations, kept up to date by a watch. */
import { AtelierError, toAtelierError } from '@atelier/api';
import type { Environment } from '@atelier/api/gitpod/environment';
import type { Service, Task, TaskExecution } from '@atelier/api/gitpod/environment_automation';
import type { Caller } from './caller.ts';
import { watchResources, type ResourceChange, type WatchOptions } from './watch.ts';

/** Everything that is known of one environment. */
export interface EnvironmentView {
  /** Undefined when it is gone. */
  environment: Environment | undefined;
  readonly services: Map<string, Service>;
  readonly tasks: Map<string, Task>;
  readonly executions: Map<string, TaskExecution>;
}

/** How {@link waitForEnvironment} watches. */
export interface WaitOptions extends Pick<WatchOptions, 'signal' | 'onConnection'> {
  /** Called with the first whole view and after each change, before the condition. */
  readonly onChange?: (view: EnvironmentView) => void;
}

/**
 * Watches an environment until `condition` gives something else than undefined, and returns that. The
 * condition gets whole views only; it may throw to give up. Errors: `canceled` when the signal is aborted,
 * and those of {@link watchResources}; an environment that vanishes while it is watched is not an error but
 * a view without it.
 */
export async function waitForEnvironment<Result>(
  client: Caller,
  environmentId: string,
  condition: (view: EnvironmentView) => Result | undefined,
  options: WaitOptions = {},
): Promise<Result> {
  const { onChange, signal, ...watch } = options;
  const view = emptyView();
  const ended = new AbortController();
  const signals = AbortSignal.any(signal ? [signal, ended.signal] : [ended.signal]);
  const look = (): Result | undefined => {
    onChange?.(view);
    return condition(view);
  };
  let whole = false;
  try {
    const changes = watchResources(client, { ...watch, environmentId, signal: signals });
    for await (const change of changes) {
      applyChange(view, change);
      whole ||= change.case === 'snapshotEnd';
      const result = whole ? look() : undefined;
      if (result !== undefined) return result;
    }
  } catch (thrown) {
    const error = toAtelierError(thrown);
    if (!whole || error.code !== 'not_found') throw error;
    view.environment = undefined;
    const result = look();
    if (result !== undefined) return result;
    throw error;
  } finally {
    ended.abort();
  }
  throw new AtelierError('canceled', `the wait for environment ${environmentId} was given up`);
}

function emptyView(): EnvironmentView {
  return { environment: undefined, services: new Map(), tasks: new Map(), executions: new Map() };
}

function applyChange(view: EnvironmentView, change: ResourceChange): void {
  switch (change.case) {
    case 'environment':
      view.environment = change.value;
      break;
    case 'service':
      view.services.set(change.value.id, change.value);
      break;
    case 'task':
      view.tasks.set(change.value.id, change.value);
      break;
    case 'taskExecution':
      view.executions.set(change.value.id, change.value);
      break;
    case 'deleted':
      remove(view, change.value.resourceId);
      break;
    default:
      break;
  }
}

function remove(view: EnvironmentView, id: string): void {
  if (view.environment?.id === id) view.environment = undefined;
  for (const resources of [view.services, view.tasks, view.executions]) resources.delete(id);
}
