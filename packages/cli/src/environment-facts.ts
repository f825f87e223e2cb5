/** Environments as people read them. Pure. */
import { StepPhase, type StepStatus } from '@atelier/api/atelier/environment_detail';
import {
  EnvironmentPhase,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
  type Environment,
} from '@atelier/api/gitpod/environment';
import {
  ServicePhase,
  TaskExecutionPhase,
  type Service,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import { durationMs, timestampMs, type Duration, type Timestamp } from '@bufbuild/protobuf/wkt';
import type { ProgressStep } from './output/progress.ts';

/** Its name, or its id while it has none. */
export function nameOf(environment: Environment | undefined): string {
  return environment?.metadata?.name || environment?.id || '';
}

/** Its phase in small letters, with what is wrong behind it. */
export function phaseOf(environment: Environment): string {
  const { status } = environment;
  const phase = EnvironmentPhase[status?.phase ?? EnvironmentPhase.UNSPECIFIED].toLowerCase();
  if ((status?.failureMessage.length ?? 0) > 0) return `${phase} (failed)`;
  return isRecovery(environment) ? `${phase} (recovery)` : phase;
}

/** Whether it runs without its dev container, so that somebody can mend it from inside. */
export function isRecovery({ status }: Environment): boolean {
  return (
    status?.phase === EnvironmentPhase.RUNNING && status.devcontainer?.phase === DevContainerPhase.FAILED
  );
}

/** A service's phase in small letters. */
export function servicePhaseOf(service: Service): string {
  return ServicePhase[service.status?.phase ?? ServicePhase.UNSPECIFIED].toLowerCase();
}

/** An execution's phase in small letters. */
export function executionPhaseOf(execution: TaskExecution): string {
  return TaskExecutionPhase[execution.status?.phase ?? TaskExecutionPhase.UNSPECIFIED].toLowerCase();
}

/** Ports that listen inside, and those that the configuration forwards, whether anything listens there yet or not. */
export function portsOf({ status }: Environment): number[] {
  const { listeningPorts = [], forwardPorts = [] } = status?.detail ?? {};
  const ports = new Set([...listeningPorts.map(({ port }) => port), ...forwardPorts]);
  return [...ports].sort((one, other) => one - other);
}

/** Everything that warns: of the environment and of its parts. */
export function warningsOf({ status }: Environment): string[] {
  if (!status) return [];
  const { warningMessage, machine, content, devcontainer, automationsFile } = status;
  const parts = [machine, content, devcontainer, automationsFile].map((part) => part?.warningMessage ?? '');
  return [...new Set([...warningMessage, ...parts].flatMap((text) => text.split('\n')))].filter(Boolean);
}

/** Milliseconds of a time of the wire; undefined stays that. */
export function atMs(time: Timestamp | undefined): number | undefined {
  return time && timestampMs(time);
}

/** Milliseconds of a duration of the wire; undefined stays that. */
export function lengthMs(duration: Duration | undefined): number | undefined {
  return duration && durationMs(duration);
}

const stepStates: Partial<Record<StepPhase, ProgressStep['state']>> = {
  [StepPhase.RUNNING]: 'running',
  [StepPhase.SUCCEEDED]: 'succeeded',
  [StepPhase.FAILED]: 'failed',
  [StepPhase.SKIPPED]: 'skipped',
};

/** A step of a start as progress shows it; undefined before it has begun. */
export function progressOf(step: StepStatus): ProgressStep | undefined {
  const state = stepStates[step.phase];
  const startedAtMs = atMs(step.startedAt);
  if (!state || startedAtMs === undefined) return undefined;
  const tookMs = lengthMs(step.took);
  const attempt = step.attempt > 1 ? ` (attempt ${step.attempt})` : '';
  return {
    key: `${step.name}#${step.attempt}#${startedAtMs}`,
    label: `${step.name.replace(/^lifecycle\//, '')}${attempt}`,
    state,
    startedAtMs,
    message: step.message,
    ...(state !== 'running' && tookMs !== undefined && { tookMs }),
  };
}
