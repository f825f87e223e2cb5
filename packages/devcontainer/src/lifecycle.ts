/** The life-cycle commands of a configuration as ordered steps of argument vectors. */
import {
  lifecycleNames,
  type DevContainerConfiguration,
  type LifecycleCommand,
  type LifecycleName,
} from './configuration.ts';

/** One command of a step. */
export interface LifecycleEntry {
  /** The key of the object form; the step's name for the other two forms. */
  label: string;
  /** What to run, without a further shell around it. */
  argv: string[];
}

/** One step: its entries start together, and the step has ended when all have; one that fails fails the step. */
export interface LifecycleStep {
  name: LifecycleName;
  /** `throwaway`: an instance of its own that is deleted afterwards; `environment`: inside, as the remote user. */
  runsIn: 'throwaway' | 'environment';
  /** How often it runs: once per dev container session, at each start of the environment, at each attach. */
  once: 'session' | 'boot' | 'attach';
  /** Whether the environment counts as ready only after this step: true up to and including `waitFor`. */
  awaited: boolean;
  parallel: LifecycleEntry[];
}

/** The steps in their order; a failed step ends the plan. */
export interface LifecyclePlan {
  waitFor: LifecycleName;
  steps: LifecycleStep[];
}

const onceOf: Record<LifecycleName, LifecycleStep['once']> = {
  initializeCommand: 'session',
  onCreateCommand: 'session',
  updateContentCommand: 'session',
  postCreateCommand: 'session',
  postStartCommand: 'boot',
  postAttachCommand: 'attach',
};

/**
 * Plans the life-cycle commands of one start. `firstStart` is true for the first start of a dev container
 * session (the environment is new or was rebuilt): all commands run; otherwise only those of each start and
 * of each attach. An empty command (empty text, list or object) is no step. The reference tool also repeats
 * `initializeCommand` at each start; here it belongs to the session, because it gets an instance of its own.
 */
export function planLifecycle(
  configuration: DevContainerConfiguration,
  options: { firstStart: boolean },
): LifecyclePlan {
  const waitFor = configuration.waitFor ?? 'updateContentCommand';
  const steps: LifecycleStep[] = [];
  for (const [position, name] of lifecycleNames.entries()) {
    const once = onceOf[name];
    if (once === 'session' && !options.firstStart) continue;
    const parallel = lifecycleEntries(name, configuration[name]);
    if (parallel.length === 0) continue;
    steps.push({
      name,
      runsIn: name === 'initializeCommand' ? 'throwaway' : 'environment',
      once,
      awaited: position <= lifecycleNames.indexOf(waitFor),
      parallel,
    });
  }
  return { waitFor, steps };
}

function lifecycleEntries(name: LifecycleName, command: LifecycleCommand | undefined): LifecycleEntry[] {
  if (command === undefined) return [];
  const named = typeof command === 'string' || Array.isArray(command) ? { [name]: command } : command;
  return Object.entries(named)
    .filter(([, single]) => single.length > 0)
    .map(([label, single]) => ({
      label,
      argv: typeof single === 'string' ? ['/bin/sh', '-c', single] : [...single],
    }));
}
