/** How a plan looks from outside: the parts of an environment's status that it decides, and the phase. */
import { phase } from '@atelier/api';
import {
  EnvironmentPhase,
  EnvironmentStatus_ContentPhase as ContentPhase,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
  EnvironmentStatus_Machine_Phase as MachinePhase,
  EnvironmentSpecSchema,
  EnvironmentStatusSchema,
  type EnvironmentStatus,
} from '@atelier/api/gitpod/environment';
import { create } from '@bufbuild/protobuf';
import type { EnvironmentDesired, EnvironmentObserved, EnvironmentPlan, EnvironmentRecord } from './model.ts';
import { applyChange } from './record.ts';
import { wayOf } from './situation.ts';

const machinePhases: Record<EnvironmentPlan['machine'], MachinePhase> = {
  creating: MachinePhase.CREATING,
  starting: MachinePhase.STARTING,
  running: MachinePhase.RUNNING,
  stopping: MachinePhase.STOPPING,
  stopped: MachinePhase.STOPPED,
  deleting: MachinePhase.DELETING,
  deleted: MachinePhase.DELETED,
};

const contentPhases: Record<EnvironmentPlan['content'], ContentPhase> = {
  none: ContentPhase.UNSPECIFIED,
  initializing: ContentPhase.INITIALIZING,
  ready: ContentPhase.READY,
  updating: ContentPhase.UPDATING,
  failed: ContentPhase.FAILED,
};

const devcontainerPhases: Record<EnvironmentPlan['devcontainer'], DevContainerPhase> = {
  none: DevContainerPhase.UNSPECIFIED,
  creating: DevContainerPhase.CREATING,
  running: DevContainerPhase.RUNNING,
  stopped: DevContainerPhase.STOPPED,
  failed: DevContainerPhase.FAILED,
};

/**
 * The status as far as the plan decides it: machine, content and dev container with session, phase and
 * failure message, the failure message of the environment, and `phase` computed from these by the one
 * function for it. The caller adds what only it knows (addresses, git, versions, detail) and must not change
 * what is set here. An environment that was idle for too long counts as wished to be stopped.
 */
export function statusOf(
  desired: EnvironmentDesired,
  observed: EnvironmentObserved,
  plan: EnvironmentPlan,
): EnvironmentStatus {
  const record = applyChange(observed.record, plan.recordChange);
  const recovery = record.recovery?.session === desired.devcontainerSession ? record.recovery : undefined;
  const contentFailed = plan.content === 'failed';
  const status = create(EnvironmentStatusSchema, {
    failureMessage: plan.failureMessage === '' ? [] : [plan.failureMessage],
    machine: {
      session: record.machineSession ?? '',
      phase: machinePhases[plan.machine],
      failureMessage: contentFailed ? '' : plan.failureMessage,
    },
    content: {
      session: record.contentSession ?? '',
      phase: contentPhases[plan.content],
      failureMessage: contentFailed ? plan.failureMessage : '',
      warningMessage: record.contentWarning ?? '',
    },
    devcontainer: {
      session: record.ready?.devcontainerSession ?? record.configurationSession ?? '',
      phase: devcontainerPhases[plan.devcontainer],
      failureMessage: recovery?.message ?? '',
    },
  });
  status.phase = phase(create(EnvironmentSpecSchema, { desiredPhase: wishedPhase(desired, record) }), status);
  return status;
}

function wishedPhase(desired: EnvironmentDesired, record: EnvironmentRecord): EnvironmentPhase {
  if (desired.phase === 'deleted') return EnvironmentPhase.DELETED;
  const idle = record.idleStop !== undefined && record.failure === undefined;
  const stopped = desired.phase === 'stopped' || (idle && wayOf(desired, record) === 'stopped');
  return stopped ? EnvironmentPhase.STOPPED : EnvironmentPhase.RUNNING;
}
