/** The kinds of rows: what each one's value is, how it becomes JSON, and by what it can be listed. */
import { fromJson, toJson, type DescMessage, type JsonValue } from '@bufbuild/protobuf';
import {
  EnvironmentPhase,
  EnvironmentRole,
  EnvironmentSchema,
  type Environment,
} from '@atelier/api/gitpod/environment';
import {
  ServiceRole,
  ServiceSchema,
  TaskExecutionPhase,
  TaskExecutionSchema,
  TaskSchema,
  type Service,
  type Task,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import { EnvironmentClassSchema, type EnvironmentClass } from '@atelier/api/gitpod/environment_class';
import {
  RunnerKind,
  RunnerPhase,
  RunnerProvider,
  RunnerSchema,
  type Runner,
} from '@atelier/api/gitpod/runner';

/** An organization: everything else belongs to one. */
export interface OrganizationRecord {
  readonly id: string;
  readonly name: string;
}

/** A user: one account's membership in one organization. */
export interface UserRecord {
  readonly id: string;
  readonly name: string;
}

/** A token that somebody may come with. Only its SHA-256 is stored. */
export interface TokenRecord {
  readonly sha256: string;
  readonly principal: 'user' | 'runner';
  readonly subjectId: string;
  /** `exchange` tokens are taken once, for an access token. */
  readonly use: 'access' | 'exchange';
  /** Milliseconds since the epoch; 0 means never. */
  readonly expiresAtMs: number;
}

/** What the plane remembers for itself: its id, the key that signs access tokens, the lease epochs. */
export interface SettingRecord {
  readonly [key: string]: string;
}

/** The type of the value of each kind. */
export interface KindValues {
  organization: OrganizationRecord;
  user: UserRecord;
  token: TokenRecord;
  setting: SettingRecord;
  runner: Runner;
  environmentClass: EnvironmentClass;
  environment: Environment;
  service: Service;
  task: Task;
  taskExecution: TaskExecution;
}

/** A kind of row: the noun that its value is about. */
export type Kind = keyof KindValues;

/** The value of a kind. */
export type KindValue<K extends Kind> = KindValues[K];

/** How a kind is stored: to and from JSON, and the attributes that lists may ask for. */
export interface KindDefinition<K extends Kind> {
  toJson(value: KindValue<K>): JsonValue;
  fromJson(json: JsonValue): KindValue<K>;
  /** Attributes by name; a missing one is an empty text. */
  attributes(value: KindValue<K>): Record<string, string>;
  /** Attributes that `search` looks into, beside the id. */
  readonly searched: readonly string[];
}

/** A kind whose value is a generated message. */
function message<K extends Kind>(
  schema: DescMessage,
  attributes: (value: KindValue<K>) => Record<string, string>,
  searched: readonly string[] = [],
): KindDefinition<K> {
  return {
    toJson: (value) => toJson(schema, value as never),
    fromJson: (json) => fromJson(schema, json, { ignoreUnknownFields: true }) as KindValue<K>,
    attributes,
    searched,
  };
}

/** A kind whose value is a small JSON record. */
function record<K extends Kind>(
  attributes: (value: KindValue<K>) => Record<string, string>,
): KindDefinition<K> {
  return {
    toJson: (value) => structuredClone(value) as JsonValue,
    fromJson: (json) => structuredClone(json) as unknown as KindValue<K>,
    attributes,
    searched: [],
  };
}

/** Every kind's definition. */
export const kinds: { readonly [K in Kind]: KindDefinition<K> } = {
  organization: record(() => ({})),
  user: record(() => ({})),
  token: record((value) => ({ sha256: value.sha256, subjectId: value.subjectId })),
  setting: record(() => ({})),
  runner: message(RunnerSchema, (runner) => ({
    creatorId: runner.creator?.id ?? '',
    kind: RunnerKind[runner.kind] ?? '',
    provider: RunnerProvider[runner.provider] ?? '',
    phase: RunnerPhase[runner.status?.phase ?? 0] ?? '',
  })),
  environmentClass: message(EnvironmentClassSchema, (value) => ({
    runnerId: value.runnerId,
    enabled: String(value.enabled),
  })),
  environment: message(
    EnvironmentSchema,
    (environment) => ({
      name: environment.metadata?.name ?? '',
      contextUrl: environment.metadata?.originalContextUrl ?? '',
      runnerId: environment.metadata?.runnerId ?? '',
      creatorId: environment.metadata?.creator?.id ?? '',
      projectId: environment.metadata?.projectId ?? '',
      sessionId: environment.metadata?.sessionId ?? '',
      role: EnvironmentRole[environment.metadata?.role ?? 0] ?? '',
      phase: EnvironmentPhase[environment.status?.phase ?? 0] ?? '',
      branch: environment.status?.content?.git?.branch ?? '',
      archived: String(environment.metadata?.archivedAt !== undefined),
      archivedAt: String(environment.metadata?.archivedAt?.seconds ?? '').padStart(12, '0'),
    }),
    ['name', 'contextUrl', 'branch'],
  ),
  service: message(ServiceSchema, (service) => ({
    reference: service.metadata?.reference ?? '',
    role: ServiceRole[service.metadata?.role ?? 0] ?? '',
  })),
  task: message(TaskSchema, (task) => ({ reference: task.metadata?.reference ?? '' })),
  taskExecution: message(TaskExecutionSchema, (execution) => ({
    taskId: execution.metadata?.taskId ?? '',
    phase: TaskExecutionPhase[execution.status?.phase ?? 0] ?? '',
  })),
};
