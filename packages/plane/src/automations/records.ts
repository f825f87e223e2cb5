/** New services, tasks and executions, whole from the first moment. Pure. */
import {
  ServiceMetadataSchema,
  ServicePhase,
  ServiceSchema,
  ServiceSpecSchema,
  ServiceStatusSchema,
  TaskExecutionMetadataSchema,
  TaskExecutionPhase,
  TaskExecutionSchema,
  TaskExecutionSpecSchema,
  TaskExecutionStatusSchema,
  TaskExecutionStatus_StepSchema,
  TaskMetadataSchema,
  TaskSchema,
  TaskSpecSchema,
  type Service,
  type ServiceMetadata,
  type ServiceSpec,
  type Task,
  type TaskExecution,
  type TaskExecutionSpec_Group,
  type TaskMetadata,
  type TaskSpec,
} from '@atelier/api/gitpod/environment_automation';
import type { Subject } from '@atelier/api/gitpod/subject';
import { clone, create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';

/** Who makes a record, where, and when. */
export interface RecordFacts {
  readonly id: string;
  readonly environmentId: string;
  readonly creator: Subject;
  readonly nowMs: number;
}

/** A service that is stopped. */
export function makeService(facts: RecordFacts, metadata?: ServiceMetadata, spec?: ServiceSpec): Service {
  const complete = spec ? clone(ServiceSpecSchema, spec) : create(ServiceSpecSchema);
  complete.specVersion = 1n;
  if (complete.desiredPhase === ServicePhase.UNSPECIFIED) complete.desiredPhase = ServicePhase.STOPPED;
  const owned = metadata ? clone(ServiceMetadataSchema, metadata) : create(ServiceMetadataSchema);
  owned.createdAt = timestampFromMs(facts.nowMs);
  owned.creator = facts.creator;
  return create(ServiceSchema, {
    id: facts.id,
    environmentId: facts.environmentId,
    metadata: owned,
    spec: complete,
    status: create(ServiceStatusSchema, { statusVersion: 1n, phase: ServicePhase.STOPPED }),
  });
}

/** A task. `dependsOn` are ids of other tasks. */
export function makeTask(
  facts: RecordFacts,
  metadata?: TaskMetadata,
  spec?: TaskSpec,
  dependsOn: readonly string[] = [],
): Task {
  const owned = metadata ? clone(TaskMetadataSchema, metadata) : create(TaskMetadataSchema);
  owned.createdAt = timestampFromMs(facts.nowMs);
  owned.creator = facts.creator;
  return create(TaskSchema, {
    id: facts.id,
    environmentId: facts.environmentId,
    metadata: owned,
    spec: spec ? clone(TaskSpecSchema, spec) : create(TaskSpecSchema),
    dependsOn: [...dependsOn],
  });
}

/** An execution with its frozen plan, not started yet. */
export function makeExecution(
  facts: RecordFacts,
  taskId: string,
  plan: TaskExecutionSpec_Group[],
  startedBy: string,
): TaskExecution {
  const steps = plan.flatMap((group) =>
    group.steps.map(({ id }) =>
      create(TaskExecutionStatus_StepSchema, { id, phase: TaskExecutionPhase.PENDING }),
    ),
  );
  return create(TaskExecutionSchema, {
    id: facts.id,
    metadata: create(TaskExecutionMetadataSchema, {
      taskId,
      environmentId: facts.environmentId,
      createdAt: timestampFromMs(facts.nowMs),
      creator: facts.creator,
      startedBy,
    }),
    spec: create(TaskExecutionSpecSchema, { plan, desiredPhase: TaskExecutionPhase.RUNNING }),
    status: create(TaskExecutionStatusSchema, {
      statusVersion: 1n,
      phase: TaskExecutionPhase.PENDING,
      steps,
    }),
  });
}

/** Whether an execution has ended. */
export function hasEnded(execution: TaskExecution): boolean {
  const phase = execution.status?.phase ?? TaskExecutionPhase.UNSPECIFIED;
  return [TaskExecutionPhase.SUCCEEDED, TaskExecutionPhase.FAILED, TaskExecutionPhase.STOPPED].includes(
    phase,
  );
}

/** Whether a service's processes are gone: only then may its spec change. */
export function isStopped(service: Service): boolean {
  const phase = service.status?.phase ?? ServicePhase.UNSPECIFIED;
  const { desiredPhase = ServicePhase.STOPPED } = service.spec ?? {};
  if (desiredPhase === ServicePhase.RUNNING && phase !== ServicePhase.FAILED) return false;
  return [ServicePhase.UNSPECIFIED, ServicePhase.STOPPED, ServicePhase.FAILED, ServicePhase.DELETED].includes(
    phase,
  );
}
