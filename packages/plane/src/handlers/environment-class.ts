/** Environment classes: the lists of two services, and gitpod.v1.RunnerConfigurationService's own methods. */
import { AtelierError } from '@atelier/api';
import {
  EnvironmentClassSchema,
  type ListEnvironmentClassesRequest,
} from '@atelier/api/gitpod/environment_class';
import { FieldValueSchema, type FieldValue } from '@atelier/api/gitpod/field_value';
import { RunnerKind, RunnerProvider } from '@atelier/api/gitpod/runner';
import {
  EnvironmentClassValidationResultSchema,
  RunnerConfigurationSchemaSchema,
  type RunnerConfigurationService,
  type EnvironmentClassValidationResult,
} from '@atelier/api/gitpod/runner_configuration';
import type { Row } from '@atelier/store';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { newId, type PlaneContext } from '../context.ts';
import { requireUser, type Principal } from '../identity/principal.ts';
import { findRunner } from './runner.ts';
import { enumNames, paginationOf, pagingOf } from './paging.ts';

/** What a class may say, with its limits: published to clients as the runner's configuration schema. */
const classFields = [
  {
    id: 'cpuWeight',
    name: 'CPU weight',
    min: 1,
    max: 10_000,
    fallback: 100,
    description: 'Share against others.',
  },
  { id: 'memoryMib', name: 'Memory (MiB)', min: 64, max: 1_048_576, fallback: 4096, description: 'Ceiling.' },
  { id: 'processesMax', name: 'Processes', min: 16, max: 65_536, fallback: 4096, description: 'Ceiling.' },
];

/** Lists classes for both services that have such a method. */
export async function listEnvironmentClasses(
  plane: PlaneContext,
  request: ListEnvironmentClassesRequest,
  user: Principal,
): Promise<
  MessageInitShape<
    typeof import('@atelier/api/gitpod/environment_class').ListEnvironmentClassesResponseSchema
  >
> {
  const { filter } = request;
  const runnerIds = new Set(filter?.runnerIds);
  const kinds = filter?.runnerKinds ?? [];
  const providers = filter?.runnerProviders ?? [];
  if (kinds.length > 0 || providers.length > 0) {
    const attributes = { kind: enumNames(RunnerKind, kinds), provider: enumNames(RunnerProvider, providers) };
    const page = await plane.store.list('runner', {
      organizationId: user.organizationId,
      attributes,
      pageSize: 100,
    });
    for (const row of page.rows) runnerIds.add(row.id);
    if (runnerIds.size === 0) runnerIds.add('no runner is of this kind');
  }
  const enabledOnly = filter?.canCreateEnvironments ? true : filter?.enabled;
  const page = await plane.store.list('environmentClass', {
    organizationId: user.organizationId,
    ...pagingOf(request.pagination),
    attributes: { runnerId: [...runnerIds], enabled: enabledOnly === undefined ? [] : [String(enabledOnly)] },
  });
  return { environmentClasses: page.rows.map((row) => row.value), pagination: paginationOf(page) };
}

/** The service on a plane: classes; the rest of it is not implemented yet. */
export function runnerConfigurationHandlers(
  plane: PlaneContext,
): Partial<ServiceImpl<typeof RunnerConfigurationService>> {
  const { store } = plane;
  return {
    listEnvironmentClasses: (request, context) =>
      listEnvironmentClasses(plane, request, requireUser(context)),
    async createEnvironmentClass(request, context) {
      const user = requireUser(context);
      await findRunner(plane, request.runnerId, user);
      const problems = fieldProblems(request.configuration);
      if (problems[0])
        throw new AtelierError('invalid_argument', `configuration.${problems[0].key}: ${problems[0].error}`);
      const id = newId(plane);
      const { runnerId, displayName, description, configuration } = request;
      const value = create(EnvironmentClassSchema, {
        id,
        runnerId,
        displayName,
        description,
        configuration,
        enabled: true,
      });
      await store.create('environmentClass', { id, organizationId: user.organizationId, value });
      return { id };
    },
    async getEnvironmentClass(request, context) {
      return {
        environmentClass: (await findClass(plane, request.environmentClassId, requireUser(context))).value,
      };
    },
    async updateEnvironmentClass(request, context) {
      await findClass(plane, request.environmentClassId, requireUser(context));
      await store.update('environmentClass', request.environmentClassId, (value) => ({
        ...value,
        displayName: request.displayName ?? value.displayName,
        description: request.description ?? value.description,
        enabled: request.enabled ?? value.enabled,
      }));
      return {};
    },
    async getRunnerConfigurationSchema(request, context) {
      await findRunner(plane, request.runnerId, requireUser(context));
      return { schema: classSchema() };
    },
    async validateRunnerConfiguration(request, context) {
      requireUser(context);
      if (request.config.case !== 'environmentClass') {
        throw new AtelierError('unimplemented', 'only environment classes can be checked so far');
      }
      const { displayName, description, configuration } = request.config.value;
      return {
        result: { case: 'environmentClass', value: validateClass(displayName, description, configuration) },
      };
    },
  };
}

async function findClass(plane: PlaneContext, id: string, user: Principal): Promise<Row<'environmentClass'>> {
  const row = await plane.store.get('environmentClass', id);
  if (row?.organizationId === user.organizationId) return row;
  throw new AtelierError('not_found', `environment class ${id} does not exist`);
}

function classSchema() {
  return create(RunnerConfigurationSchemaSchema, {
    version: '1',
    environmentClasses: classFields.map(({ id, name, description, min, max, fallback }) => ({
      id,
      name,
      description,
      type: { case: 'int' as const, value: { default: fallback, min, max } },
    })),
  });
}

function validateClass(
  displayName: string,
  description: string,
  configuration: readonly FieldValue[],
): EnvironmentClassValidationResult {
  const configurationErrors = fieldProblems(configuration);
  const result = create(EnvironmentClassValidationResultSchema, { configurationErrors });
  if (displayName.length < 3 || displayName.length > 127)
    result.displayNameError = 'must have 3 to 127 characters';
  if (description.length < 3 || description.length > 200)
    result.descriptionError = 'must have 3 to 200 characters';
  result.valid = !result.displayNameError && !result.descriptionError && configurationErrors.length === 0;
  return result;
}

function fieldProblems(configuration: readonly FieldValue[]): { key: string; error: string }[] {
  return configuration.flatMap(({ key, value }) => {
    const field = classFields.find((candidate) => candidate.id === key);
    if (!field)
      return [{ key, error: `is not known; known are ${classFields.map(({ id }) => id).join(', ')}` }];
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= field.min && number <= field.max) return [];
    return [{ key, error: `must be a whole number from ${field.min} to ${field.max}` }];
  });
}

/** The configuration of a class as fields. */
export function classConfiguration(values: Readonly<Record<string, number>>): FieldValue[] {
  return Object.entries(values).map(([key, value]) =>
    create(FieldValueSchema, { key, value: String(value) }),
  );
}
