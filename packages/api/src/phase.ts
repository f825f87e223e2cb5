/** The one function that computes an environment's phase from facts. */
import {
  EnvironmentPhase,
  EnvironmentStatus_ContentPhase as ContentPhase,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
  EnvironmentStatus_Machine_Phase as MachinePhase,
  type EnvironmentSpec,
  type EnvironmentStatus,
} from '../gen/gitpod/v1/environment_pb.js';

/** What the phase is computed from: the spec's wish and the observed parts, never an earlier phase. */
export type PhaseFacts = Pick<EnvironmentStatus, 'machine' | 'content' | 'devcontainer' | 'failureMessage'>;

/**
 * Computes `status.phase`. Rules, the first that holds wins:
 * the machine is gone -> DELETED; deletion is desired or goes on -> DELETING; nothing was observed yet ->
 * CREATING, or STOPPED when that is desired; the machine stops -> STOPPING; the machine is stopped ->
 * STOPPED when stopping is desired or the environment failed, else STARTING; a stop is desired while the
 * machine still exists -> STOPPING; the machine is not yet up -> CREATING or STARTING; content or the dev
 * container are being made for the first time -> STARTING, for another time -> UPDATING; else RUNNING. A
 * failed dev container does not keep an environment from RUNNING: that is the recovery environment.
 */
export function phase(spec: EnvironmentSpec | undefined, facts: PhaseFacts): EnvironmentPhase {
  const desired = spec?.desiredPhase ?? EnvironmentPhase.UNSPECIFIED;
  const machine = facts.machine?.phase ?? MachinePhase.UNSPECIFIED;
  if (machine === MachinePhase.DELETED) return EnvironmentPhase.DELETED;
  if (desired === EnvironmentPhase.DELETED || machine === MachinePhase.DELETING)
    return EnvironmentPhase.DELETING;
  const stopDesired = desired === EnvironmentPhase.STOPPED;
  switch (machine) {
    case MachinePhase.UNSPECIFIED:
      return stopDesired ? EnvironmentPhase.STOPPED : EnvironmentPhase.CREATING;
    case MachinePhase.STOPPING:
      return EnvironmentPhase.STOPPING;
    case MachinePhase.STOPPED:
      if (stopDesired || facts.failureMessage.length > 0) return EnvironmentPhase.STOPPED;
      return EnvironmentPhase.STARTING;
    default:
      break;
  }
  if (stopDesired) return EnvironmentPhase.STOPPING;
  if (machine === MachinePhase.CREATING) return EnvironmentPhase.CREATING;
  if (machine === MachinePhase.STARTING) return EnvironmentPhase.STARTING;
  return insidePhase(facts);
}

/** The phase of an environment whose machine runs: what its content and dev container say. */
function insidePhase(facts: PhaseFacts): EnvironmentPhase {
  const content = facts.content?.phase ?? ContentPhase.UNSPECIFIED;
  const devcontainer = facts.devcontainer?.phase ?? DevContainerPhase.UNSPECIFIED;
  if (content === ContentPhase.UPDATING) return EnvironmentPhase.UPDATING;
  if (content !== ContentPhase.READY && content !== ContentPhase.FAILED) return EnvironmentPhase.STARTING;
  if (devcontainer === DevContainerPhase.RUNNING || devcontainer === DevContainerPhase.FAILED) {
    return EnvironmentPhase.RUNNING;
  }
  return EnvironmentPhase.STARTING;
}

/** Whether an environment may stay in the phase for ever; every other phase has a deadline. */
export function isLasting(environmentPhase: EnvironmentPhase): boolean {
  return (
    environmentPhase === EnvironmentPhase.RUNNING ||
    environmentPhase === EnvironmentPhase.STOPPED ||
    environmentPhase === EnvironmentPhase.DELETED
  );
}
