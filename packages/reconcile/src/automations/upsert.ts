/** From an automations file to what has to change in an environment's services and tasks. */
import { ServiceDependenciesSchema, TaskDependenciesSchema } from '@atelier/api/atelier/automation_detail';
import { AutomationTriggerSchema, type AutomationTrigger } from '@atelier/api/gitpod/automation_trigger';
import {
  ServiceMetadataSchema,
  ServicePhase,
  ServiceRole,
  ServiceSpecSchema,
  TaskMetadataSchema,
  TaskSpecSchema,
  type AutomationsFile,
  type AutomationsFile_Service,
  type AutomationsFile_Task,
  type Service,
  type ServiceMetadata,
  type ServiceSpec,
  type Task,
  type TaskMetadata,
  type TaskSpec,
} from '@atelier/api/gitpod/environment_automation';
import { clone, create, equals } from '@bufbuild/protobuf';

/** A service or task as the file wishes it: whole messages, with what only the API can set taken over. */
export interface Declaration<Metadata, Spec> {
  readonly metadata: Metadata;
  readonly spec: Spec;
  /** References as in the file, of tasks and services; the caller turns them into ids. */
  readonly dependsOn: readonly string[];
}

/** A change of something that is there. */
export interface DeclarationUpdate<Metadata, Spec> extends Declaration<Metadata, Spec> {
  readonly id: string;
  /**
   * The spec differs but the service is not stopped, so `spec` is the one it has: write the rest now and plan
   * again with the same file when it has stopped.
   */
  readonly specWaits: boolean;
}

/** What has to change for one kind of automation. */
export interface DeclarationChanges<Metadata, Spec> {
  readonly create: ReadonlyArray<Declaration<Metadata, Spec>>;
  readonly update: ReadonlyArray<DeclarationUpdate<Metadata, Spec>>;
  /** What the file does not have any more; with `stopFirst` it is not stopped yet. */
  readonly remove: ReadonlyArray<{ readonly id: string; readonly stopFirst: boolean }>;
}

/** What an automations file changes. */
export interface UpsertPlan {
  readonly services: DeclarationChanges<ServiceMetadata, ServiceSpec>;
  readonly tasks: DeclarationChanges<TaskMetadata, TaskSpec>;
}

/**
 * Compares a file with an environment's services and tasks by reference. What is equal is not named, so a
 * second call after the changes were made answers empty lists. What has no reference was not made by a file
 * and is left alone. Creator, creation time, variables, session and desired phase are kept as they are; a new
 * service is wished to be stopped until a trigger or a person starts it. Running executions are not affected:
 * their plan is frozen.
 */
export function planUpsert(
  file: AutomationsFile,
  services: readonly Service[],
  tasks: readonly Task[],
): UpsertPlan {
  return {
    services: changes(Object.entries(file.services), services, {
      declare: declareService,
      isActive: (service) => isActive(service),
      isSame: (declared, existing) =>
        equals(ServiceMetadataSchema, declared.metadata, existing.metadata ?? create(ServiceMetadataSchema)),
      isSameSpec: (declared, existing) =>
        equals(ServiceSpecSchema, declared.spec, existing.spec ?? create(ServiceSpecSchema)),
    }),
    tasks: changes(Object.entries(file.tasks), tasks, {
      declare: (reference, entry, existing) => declareTask(file, reference, entry, existing),
      isActive: () => false,
      isSame: (declared, existing) =>
        equals(TaskMetadataSchema, declared.metadata, existing.metadata ?? create(TaskMetadataSchema)),
      isSameSpec: (declared, existing) =>
        equals(TaskSpecSchema, declared.spec, existing.spec ?? create(TaskSpecSchema)),
    }),
  };
}

interface Existing<Metadata, Spec> {
  readonly id: string;
  readonly metadata?: Metadata | undefined;
  readonly spec?: Spec | undefined;
}

interface Kind<Entry, Metadata, Spec, Item extends Existing<Metadata, Spec>> {
  declare(reference: string, entry: Entry, existing: Item | undefined): Declaration<Metadata, Spec>;
  isActive(item: Item): boolean;
  isSame(declared: Declaration<Metadata, Spec>, existing: Item): boolean;
  isSameSpec(declared: Declaration<Metadata, Spec>, existing: Item): boolean;
}

function changes<Entry, Metadata extends { reference: string }, Spec, Item extends Existing<Metadata, Spec>>(
  entries: ReadonlyArray<readonly [string, Entry]>,
  items: readonly Item[],
  kind: Kind<Entry, Metadata, Spec, Item>,
): DeclarationChanges<Metadata, Spec> {
  const made: Declaration<Metadata, Spec>[] = [];
  const update: DeclarationUpdate<Metadata, Spec>[] = [];
  for (const [reference, entry] of entries) {
    const existing = items.find((item) => item.metadata?.reference === reference);
    const declared = kind.declare(reference, entry, existing);
    if (existing === undefined) {
      made.push(declared);
      continue;
    }
    const specWaits = !kind.isSameSpec(declared, existing) && kind.isActive(existing);
    const spec = specWaits && existing.spec !== undefined ? existing.spec : declared.spec;
    if (specWaits || !kind.isSame(declared, existing) || !kind.isSameSpec(declared, existing)) {
      update.push({ ...declared, spec, id: existing.id, specWaits });
    }
  }
  const references = new Set(entries.map(([reference]) => reference));
  const gone = items.filter(({ metadata }) => metadata?.reference && !references.has(metadata.reference));
  const remove = gone.map((item) => ({ id: item.id, stopFirst: kind.isActive(item) }));
  return { create: made, update, remove };
}

function isActive({ spec, status }: Service): boolean {
  const phases = [ServicePhase.STARTING, ServicePhase.RUNNING, ServicePhase.STOPPING];
  return (
    spec?.desiredPhase === ServicePhase.RUNNING || phases.includes(status?.phase ?? ServicePhase.UNSPECIFIED)
  );
}

function declareService(
  reference: string,
  entry: AutomationsFile_Service,
  existing: Service | undefined,
): Declaration<ServiceMetadata, ServiceSpec> {
  const { name, description, commands, runsOn, readinessTimeout } = entry;
  const metadata = clone(ServiceMetadataSchema, existing?.metadata ?? create(ServiceMetadataSchema));
  const triggeredBy = entry.triggeredBy.flatMap(triggerOf);
  Object.assign(metadata, { reference, name, description, role: roleOf(entry.role), triggeredBy });
  const { dependsOn } = entry;
  if (dependsOn.length === 0) delete metadata.dependencies;
  else metadata.dependencies = create(ServiceDependenciesSchema, { dependsOn: [...dependsOn] });
  const stopped = create(ServiceSpecSchema, { desiredPhase: ServicePhase.STOPPED });
  const spec = clone(ServiceSpecSchema, existing?.spec ?? stopped);
  Object.assign(spec, { commands, runsOn, readinessTimeout });
  return { metadata, spec, dependsOn };
}

function declareTask(
  file: AutomationsFile,
  reference: string,
  entry: AutomationsFile_Task,
  existing: Task | undefined,
): Declaration<TaskMetadata, TaskSpec> {
  const { name, description, command, prebuildRequiresSuccess, runsOn } = entry;
  const metadata = clone(TaskMetadataSchema, existing?.metadata ?? create(TaskMetadataSchema));
  Object.assign(metadata, {
    reference,
    name,
    description,
    triggeredBy: entry.triggeredBy.flatMap(triggerOf),
  });
  // A name that is a task's and a service's is the task's, as everywhere in the file.
  const dependsOnServices = entry.dependsOn.filter((each) => !Object.hasOwn(file.tasks, each));
  if (dependsOnServices.length === 0) delete metadata.dependencies;
  else metadata.dependencies = create(TaskDependenciesSchema, { dependsOnServices });
  const spec = clone(TaskSpecSchema, existing?.spec ?? create(TaskSpecSchema));
  Object.assign(spec, { command, prebuildRequiresSuccess, runsOn });
  return { metadata, spec, dependsOn: entry.dependsOn };
}

const roles: Readonly<Record<string, ServiceRole>> = {
  editor: ServiceRole.EDITOR,
  'ai-agent': ServiceRole.AI_AGENT,
};

function roleOf(name: string): ServiceRole {
  return roles[name] ?? ServiceRole.DEFAULT;
}

const triggers = {
  manual: 'manual',
  postEnvironmentStart: 'postEnvironmentStart',
  postDevcontainerStart: 'postDevcontainerStart',
  prebuild: 'prebuild',
} as const;

function triggerOf(name: string): AutomationTrigger[] {
  const key = triggers[name as keyof typeof triggers];
  return key === undefined ? [] : [create(AutomationTriggerSchema, { trigger: { case: key, value: true } })];
}
