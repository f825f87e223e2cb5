/** When `up` has nothing to wait for any more, and what came of it. Pure. */
import { StepPhase, type StepStatus } from '@atelier/api/atelier/environment_detail';
import type { AutomationTrigger } from '@atelier/api/gitpod/automation_trigger';
import {
  EnvironmentPhase,
  EnvironmentStatus_AutomationsFile_Presence as Presence,
  EnvironmentStatus_ContentPhase as ContentPhase,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
  type Environment,
} from '@atelier/api/gitpod/environment';
import {
  ServicePhase,
  TaskExecutionPhase,
  type Service,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import type { EnvironmentView } from '@atelier/sdk';
import { nameOf } from '../environment-facts.ts';

/** What came of it. `settling` means: ready as far as can be seen, but triggers may not have fired yet. */
export type UpOutcome =
  | { readonly kind: 'ready' }
  | { readonly kind: 'settling' }
  | { readonly kind: 'failed'; readonly message: string; readonly advice: readonly string[] };

/** The outcome that a view shows; undefined while there is something to wait for. */
export function outcomeOf(view: EnvironmentView): UpOutcome | undefined {
  const { environment } = view;
  if (!environment) return { kind: 'failed', message: 'the environment was deleted meanwhile', advice: [] };
  const name = nameOf(environment);
  const { spec, status, metadata } = environment;
  if (spec?.desiredPhase !== EnvironmentPhase.RUNNING) {
    const what = spec?.desiredPhase === EnvironmentPhase.DELETED ? 'deleted' : 'stopped';
    return { kind: 'failed', message: `environment ${name} is being ${what} by somebody`, advice: [] };
  }
  const isPlaced = (metadata?.runnerId ?? '') !== '';
  const isCurrent = (status?.runnerAck?.specVersion ?? 0n) >= spec.specVersion;
  // What an older spec came to says nothing about this one.
  if (!status || (isPlaced && !isCurrent)) return undefined;
  if (status.failureMessage.length > 0) {
    const advice = [`atelier logs ${name}`, `atelier start ${name}  (tries again)`, `atelier delete ${name}`];
    return {
      kind: 'failed',
      message: `environment ${name} failed: ${status.failureMessage.join('; ')}`,
      advice,
    };
  }
  if (status.phase !== EnvironmentPhase.RUNNING) return undefined;
  if (status.devcontainer?.phase === DevContainerPhase.FAILED) return recovery(environment, name);
  const lifecycle = lifecycleOf(environment);
  if (lifecycle.isUnderWay) return undefined;
  if (lifecycle.failed) return lifecycleFailure(lifecycle.failed, name);
  return automationsOutcome(view, environment, name);
}

function recovery({ status }: Environment, name: string): UpOutcome {
  const why = status?.devcontainer?.failureMessage || 'its dev container could not be made';
  return {
    kind: 'failed',
    message: `environment ${name} runs in recovery: ${why}`,
    advice: [
      `atelier shell ${name}  (mend the configuration inside)`,
      `atelier logs ${name}`,
      `atelier up --rebuild --name ${name}`,
    ],
  };
}

/** Commands that prepare the dev container and end; those of each start may run for as long as they like. */
const preparing = new Set(['onCreateCommand', 'updateContentCommand', 'postCreateCommand']);

function lifecycleOf({ status }: Environment): { isUnderWay: boolean; failed: StepStatus | undefined } {
  const steps = status?.detail?.steps.filter(({ name }) => name.startsWith('lifecycle/')) ?? [];
  const isUnderWay = steps.some(
    ({ name, phase }) =>
      preparing.has(commandOf(name)) && (phase === StepPhase.PENDING || phase === StepPhase.RUNNING),
  );
  return { isUnderWay, failed: steps.find(({ phase }) => phase === StepPhase.FAILED) };
}

function lifecycleFailure({ name: step, message }: StepStatus, name: string): UpOutcome {
  const command = commandOf(step);
  return {
    kind: 'failed',
    message: `environment ${name} runs, but ${command} failed${because(message)}`,
    advice: [
      `atelier logs ${name} ${command}`,
      `atelier shell ${name}`,
      `atelier up --rebuild --name ${name}`,
    ],
  };
}

function commandOf(step: string): string {
  return step.slice('lifecycle/'.length);
}

function automationsOutcome(
  view: EnvironmentView,
  environment: Environment,
  name: string,
): UpOutcome | undefined {
  const file = environment.status?.automationsFile;
  if (!file) return { kind: 'settling' };
  if (file.automationsFilePresence === Presence.ABSENT) return { kind: 'ready' };
  if (file.phase === ContentPhase.FAILED) {
    const message = `environment ${name} runs, but its automations do not: ${file.failureMessage}`;
    return { kind: 'failed', message, advice: [] };
  }
  const services = [...view.services.values()];
  const executions = [...view.executions.values()].filter((each) => isOfBoot(each, environment));
  if (services.some(isUnderWay) || executions.some(isRunning)) return undefined;
  const failures = [
    ...services.filter(isFailed).map(serviceFailure),
    ...executions.flatMap(executionFailure(view)),
  ];
  if (failures.length > 0) {
    const message = `environment ${name} runs, but ${failures.map(({ text }) => text).join('; ')}`;
    return {
      kind: 'failed',
      message,
      advice: failures.map(({ reference }) => `atelier logs ${name} ${reference}`),
    };
  }
  return isEverythingFired(view, environment, executions) ? { kind: 'ready' } : { kind: 'settling' };
}

function isUnderWay({ spec, status }: Service): boolean {
  if (spec?.desiredPhase !== ServicePhase.RUNNING) return false;
  const isOfSession = status?.session === spec.session;
  const lasting = [ServicePhase.RUNNING, ServicePhase.FAILED, ServicePhase.STOPPED];
  return !isOfSession || !lasting.includes(status.phase);
}

function isFailed({ spec, status }: Service): boolean {
  return spec?.desiredPhase === ServicePhase.RUNNING && status?.phase === ServicePhase.FAILED;
}

function isRunning({ status }: TaskExecution): boolean {
  return status?.phase === TaskExecutionPhase.PENDING || status?.phase === TaskExecutionPhase.RUNNING;
}

interface Failure {
  readonly reference: string;
  readonly text: string;
}

function serviceFailure({ metadata, status }: Service): Failure {
  const reference = metadata?.reference ?? '';
  return { reference, text: `service ${reference} failed${because(status?.failureMessage)}` };
}

function executionFailure(view: EnvironmentView): (execution: TaskExecution) => Failure[] {
  return ({ metadata, status }) => {
    if (status?.phase !== TaskExecutionPhase.FAILED) return [];
    const reference = view.tasks.get(metadata?.taskId ?? '')?.metadata?.reference ?? '';
    return [{ reference, text: `task ${reference} failed${because(status.failureMessage)}` }];
  };
}

function because(message: string | undefined): string {
  return message ? `: ${message}` : '';
}

/** The text by which the plane knows what its triggers did: run of PID 1, then session of the dev container. */
function placeOf({ status }: Environment): readonly [boot: string, devcontainerSession: string] {
  return [
    encodeURIComponent(status?.detail?.boot ?? ''),
    encodeURIComponent(status?.devcontainer?.session ?? ''),
  ];
}

/** Whether a trigger started the execution since the environment's last start. */
export function isOfBoot({ metadata }: TaskExecution, environment: Environment): boolean {
  const [prefix, boot] = (metadata?.startedBy ?? '').split('/');
  return prefix === 'trigger' && boot === placeOf(environment)[0];
}

function isEverythingFired(
  view: EnvironmentView,
  environment: Environment,
  executions: TaskExecution[],
): boolean {
  // The plane writes the status before it writes what the automations file declares.
  if (view.services.size + view.tasks.size === 0) return false;
  const [boot, session] = placeOf(environment);
  const services = [...view.services.values()].every(({ metadata, spec }) => {
    const triggers = triggersOf(metadata?.triggeredBy ?? []);
    const [firedBoot, firedSession] = (spec?.session ?? '').split('/');
    if (triggers.start && firedBoot !== boot) return false;
    return !triggers.devcontainer || firedSession === session;
  });
  const tasks = [...view.tasks.values()].every(
    ({ id, metadata }) =>
      !triggersOf(metadata?.triggeredBy ?? []).start ||
      executions.some((each) => each.metadata?.taskId === id),
  );
  return services && tasks;
}

function triggersOf(triggers: readonly AutomationTrigger[]): { start: boolean; devcontainer: boolean } {
  const cases = new Set(triggers.map(({ trigger }) => trigger.case));
  return {
    start: cases.has('postEnvironmentStart') || cases.has('postMachineStart'),
    devcontainer: cases.has('postDevcontainerStart'),
  };
}
