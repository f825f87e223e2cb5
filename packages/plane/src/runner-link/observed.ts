/** What a runner says about its environments, written down. It may write nobody else's. */
import type { ObservedEnvironment } from '@atelier/api/atelier/runner_link';
import {
  EnvironmentPhase,
  EnvironmentStatusSchema,
  type EnvironmentStatus,
} from '@atelier/api/gitpod/environment';
import {
  ServiceStatusSchema,
  TaskExecutionPhase,
  TaskExecutionStatusSchema,
  type ServiceStatus,
  type TaskExecution,
  type TaskExecutionStatus,
} from '@atelier/api/gitpod/environment_automation';
import { Principal as PrincipalType, SubjectSchema } from '@atelier/api/gitpod/subject';
import { AtelierError } from '@atelier/api';
import { create, equals } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { hasEnded } from '../automations/records.ts';
import { upsertAutomationsFile } from '../automations/upsert.ts';
import type { PlaneContext } from '../context.ts';
import { setPhase } from '../environment/change.ts';

/** Writes one report. Reports about environments that are not this runner's are dropped and logged. */
export async function applyObserved(
  plane: PlaneContext,
  runnerId: string,
  observed: ObservedEnvironment,
): Promise<void> {
  const row = await plane.store.get('environment', observed.environmentId);
  if (!row) return;
  if (row.value.metadata?.runnerId !== runnerId) {
    plane.log('a runner reported about an environment that is not its own', {
      runnerId,
      id: observed.environmentId,
    });
    return;
  }
  if (observed.gone) {
    if (row.value.spec?.desiredPhase === EnvironmentPhase.DELETED)
      await plane.store.delete('environment', row.id);
    return;
  }
  if (observed.status) await writeStatus(plane, observed.environmentId, observed.status);
  for (const { serviceId, status } of observed.services) {
    if (status) await writeServiceStatus(plane, row.id, serviceId, status);
  }
  for (const { executionId, status } of observed.executions) {
    if (status) await writeExecutionStatus(plane, row.id, executionId, status);
  }
  const { automationsFile } = observed;
  if (automationsFile?.file) {
    const creator = create(SubjectSchema, { id: row.id, principal: PrincipalType.ENVIRONMENT });
    await upsertAutomationsFile(plane, row, automationsFile.file, creator);
  }
}

async function writeStatus(plane: PlaneContext, id: string, reported: EnvironmentStatus): Promise<void> {
  await plane.store.update(
    'environment',
    id,
    (environment) => {
      const before = environment.status ?? create(EnvironmentStatusSchema);
      const status = { ...reported, statusVersion: before.statusVersion, phase: before.phase };
      if (reported.detail) status.detail = { ...reported.detail };
      if (status.detail && before.detail?.phaseSince) status.detail.phaseSince = before.detail.phaseSince;
      const activity = newerActivity(before, status);
      if (activity) status.activitySignal = activity;
      environment.status = status;
      setPhase(environment, plane.clock.nowMs());
      if (equals(EnvironmentStatusSchema, before, status)) return undefined;
      status.statusVersion += 1n;
      return environment;
    },
    { statusOnly: true },
  );
}

/** Activity is told to the plane by clients and to the runner by the inside: the later one stands. */
function newerActivity(
  left: EnvironmentStatus,
  right: EnvironmentStatus,
): EnvironmentStatus['activitySignal'] {
  const time = (status: EnvironmentStatus): number =>
    status.activitySignal?.timestamp ? timestampMs(status.activitySignal.timestamp) : 0;
  return time(left) > time(right) ? left.activitySignal : right.activitySignal;
}

async function writeServiceStatus(
  plane: PlaneContext,
  environmentId: string,
  id: string,
  reported: ServiceStatus,
): Promise<void> {
  const change = plane.store.update(
    'service',
    id,
    (service) => {
      if (service.environmentId !== environmentId) return undefined;
      const status = { ...reported, statusVersion: service.status?.statusVersion ?? 0n };
      if (service.status && equals(ServiceStatusSchema, service.status, status)) return undefined;
      service.status = { ...status, statusVersion: status.statusVersion + 1n };
      return service;
    },
    { statusOnly: true },
  );
  await change.catch(ignoreDeleted);
}

async function writeExecutionStatus(
  plane: PlaneContext,
  environmentId: string,
  id: string,
  reported: TaskExecutionStatus,
): Promise<void> {
  const change = plane.store.update(
    'taskExecution',
    id,
    (execution) => {
      if (execution.metadata?.environmentId !== environmentId || hasEnded(execution)) return undefined;
      const status = { ...reported, statusVersion: execution.status?.statusVersion ?? 0n };
      if (execution.status && equals(TaskExecutionStatusSchema, execution.status, status)) return undefined;
      execution.status = { ...status, statusVersion: status.statusVersion + 1n };
      stampTimes(execution, plane.clock.nowMs());
      return execution;
    },
    { statusOnly: true },
  );
  await change.catch(ignoreDeleted);
}

function stampTimes(execution: TaskExecution, nowMs: number): void {
  const { metadata } = execution;
  if (!metadata) return;
  const begun = (execution.status?.phase ?? TaskExecutionPhase.PENDING) !== TaskExecutionPhase.PENDING;
  if (begun) metadata.startedAt ??= timestampFromMs(nowMs);
  if (hasEnded(execution)) metadata.completedAt ??= timestampFromMs(nowMs);
}

/** What was deleted meanwhile has no status any more. */
function ignoreDeleted(error: unknown): void {
  if (!(error instanceof AtelierError && error.code === 'not_found')) throw error;
}
