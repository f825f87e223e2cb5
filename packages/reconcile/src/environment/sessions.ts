/** From an environment's spec to what the plan wishes for, and the sessions that follow from it. */
import { EnvironmentPhase, type Environment } from '@atelier/api/gitpod/environment';
import type { EnvironmentDesired } from './model.ts';

/**
 * Takes out of an environment what its plan needs. A desired phase other than STOPPED and DELETED means
 * running; content is to be made when the initializer has at least one spec.
 */
export function desiredOf(environment: Environment): EnvironmentDesired {
  const { spec } = environment;
  return {
    environmentId: environment.id,
    phase: desiredPhase(spec?.desiredPhase ?? EnvironmentPhase.UNSPECIFIED),
    machineSession: spec?.machine?.session ?? '',
    contentSession: spec?.content?.session ?? '',
    devcontainerSession: spec?.devcontainer?.session ?? '',
    hasContent: (spec?.content?.initializer?.specs.length ?? 0) > 0,
  };
}

function desiredPhase(wished: EnvironmentPhase): EnvironmentDesired['phase'] {
  if (wished === EnvironmentPhase.DELETED) return 'deleted';
  if (wished === EnvironmentPhase.STOPPED) return 'stopped';
  return 'running';
}

const recoveryPrefix = 'recovery:';

/** The session of the image and root steps that put the base image in the place of a dev container that failed. */
export function recoverySession(devcontainerSession: string): string {
  return `${recoveryPrefix}${devcontainerSession}`;
}

/** The session of the shutdown step of a boot whose environment is deleted. */
export function deletionSession(boot: string): string {
  return `deletion:${boot}`;
}
