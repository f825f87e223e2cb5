/** What the triggers of an environment's automations ask for now. */
import type { AutomationTrigger } from '@atelier/api/gitpod/automation_trigger';
import {
  ServicePhase,
  type Service,
  type Task,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';

/** What the triggers of an environment depend on. */
export interface AutomationFacts {
  /** The environment is up: its life-cycle commands ended. Nothing is triggered before. */
  readonly started: boolean;
  /** Name of the present run of PID 1. */
  readonly boot: string;
  readonly devcontainerSession: string;
  /** `spec.automationsFile.triggerFilter`: only these triggers count; empty means all. */
  readonly triggerFilter: readonly AutomationTrigger[];
}

/** What is to be done so that the triggers have had their effect. Empty lists mean that they have. */
export interface AutomationsPlan {
  /** Services to start: desired phase RUNNING under this session. */
  readonly serviceStarts: ReadonlyArray<{ readonly serviceId: string; readonly session: string }>;
  /** Services that an earlier boot ran and nobody asked for in this one: desired phase STOPPED. */
  readonly serviceStops: readonly string[];
  /**
   * Task executions to create. `name` is the same in every pass for the same cause: the caller makes the
   * execution's id from it, so that "already exists" is success, and writes `startedBy` into its metadata,
   * by which the next pass knows it.
   */
  readonly executions: ReadonlyArray<{
    readonly taskId: string;
    readonly name: string;
    readonly startedBy: string;
  }>;
}

type TriggerName = 'postEnvironmentStart' | 'postDevcontainerStart';

/**
 * Compares automations with what their triggers ask for. postEnvironmentStart (and postMachineStart, which is
 * the same here) asks for one start in each boot, postDevcontainerStart for one in each dev container
 * session; both together for one. It does not matter when the automation was declared: one that comes with a
 * later file is triggered in the same boot.
 *
 * A service remembers boot and dev container session in its own session ({@link serviceSession}), whoever
 * started it; so what a user started, restarted or stopped in this boot is left alone. A task remembers them
 * in `startedBy` of its executions; manual ones do not count.
 */
export function planAutomations(
  facts: AutomationFacts,
  services: readonly Service[],
  tasks: readonly Task[],
  executions: readonly TaskExecution[],
): AutomationsPlan {
  if (!facts.started || facts.boot === '') return { serviceStarts: [], serviceStops: [], executions: [] };
  const starts = services.filter((service) => serviceStarts(facts, service));
  return {
    serviceStarts: starts.map(({ id }) => ({ serviceId: id, session: serviceSession(facts, 'trigger') })),
    serviceStops: services
      .filter((service) => !starts.includes(service) && isOfEarlierBoot(facts, service))
      .map(({ id }) => id),
    executions: tasks.flatMap((task) => taskExecution(facts, task, executions)),
  };
}

/**
 * The session of a service start in this boot. Everybody who starts a service uses it, a person's start with
 * a `cause` that is new each time; an empty boot (the environment is not up) belongs to no boot.
 */
export function serviceSession(
  facts: Pick<AutomationFacts, 'boot' | 'devcontainerSession'>,
  cause: string,
): string {
  return `${placeText(facts)}/${cause}`;
}

function placeText({
  boot,
  devcontainerSession,
}: Pick<AutomationFacts, 'boot' | 'devcontainerSession'>): string {
  return `${encodeURIComponent(boot)}/${encodeURIComponent(devcontainerSession)}`;
}

/** Which triggers have had their effect where this text was written. */
function effectsOf(facts: AutomationFacts, text: string): Set<TriggerName> {
  const [boot, devcontainerSession] = text.split('/');
  const effects = new Set<TriggerName>();
  if (boot === encodeURIComponent(facts.boot)) effects.add('postEnvironmentStart');
  if (devcontainerSession === encodeURIComponent(facts.devcontainerSession))
    effects.add('postDevcontainerStart');
  return effects;
}

function serviceStarts(facts: AutomationFacts, { metadata, spec }: Service): boolean {
  if (spec?.desiredPhase === ServicePhase.DELETED) return false;
  const effects = effectsOf(facts, spec?.session ?? '');
  return triggersOf(facts, metadata?.triggeredBy ?? []).some((trigger) => !effects.has(trigger));
}

function isOfEarlierBoot(facts: AutomationFacts, { spec }: Service): boolean {
  if (spec?.desiredPhase !== ServicePhase.RUNNING) return false;
  // A session of another form is a client's own choice: nobody knows its boot.
  const ours = spec.session.split('/').length === 3;
  return ours && !effectsOf(facts, spec.session).has('postEnvironmentStart');
}

const automaticPrefix = 'trigger/';

function taskExecution(
  facts: AutomationFacts,
  { id, metadata }: Task,
  executions: readonly TaskExecution[],
): AutomationsPlan['executions'] {
  const done = new Set<TriggerName>();
  for (const execution of executions) {
    const startedBy = execution.metadata?.startedBy ?? '';
    if (execution.metadata?.taskId !== id || !startedBy.startsWith(automaticPrefix)) continue;
    for (const effect of effectsOf(facts, startedBy.slice(automaticPrefix.length))) done.add(effect);
  }
  const missing = triggersOf(facts, metadata?.triggeredBy ?? []).some((trigger) => !done.has(trigger));
  if (!missing) return [];
  const startedBy = `${automaticPrefix}${placeText(facts)}`;
  return [{ taskId: id, name: `${id}/${startedBy}`, startedBy }];
}

function triggersOf(facts: AutomationFacts, triggers: readonly AutomationTrigger[]): TriggerName[] {
  const allowed = new Set(facts.triggerFilter.map(({ trigger }) => trigger.case));
  return triggers.flatMap(({ trigger }): TriggerName[] => {
    if (allowed.size > 0 && !allowed.has(trigger.case)) return [];
    if (trigger.case === 'postDevcontainerStart') return ['postDevcontainerStart'];
    const starts = trigger.case === 'postEnvironmentStart' || trigger.case === 'postMachineStart';
    return starts ? ['postEnvironmentStart'] : [];
  });
}
