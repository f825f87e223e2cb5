/** gitpod.v1.EnvironmentService. */
import { AtelierError } from '@atelier/api';
import {
  EnvironmentPhase,
  EnvironmentRole,
  EnvironmentService,
  ListEnvironmentsRequest_ArchivalStatus as ArchivalStatus,
  ListEnvironmentsRequest_SortField as SortField,
  type Environment,
  type ListEnvironmentsRequest,
} from '@atelier/api/gitpod/environment';
import { SortOrder } from '@atelier/api/gitpod/pagination';
import { RunnerKind } from '@atelier/api/gitpod/runner';
import { signAccessToken, type AccessScope } from '@atelier/gateway';
import type { Query, Row } from '@atelier/store';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { newId, type PlaneContext } from '../context.ts';
import { applyUpdate, archive, desire, markActive } from '../environment/change.ts';
import { createEnvironment, requirePrintable } from '../environment/create.ts';
import { sealCredential } from '../environment/credential.ts';
import { takeCredential } from '../environment/initializer.ts';
import { requireUser, type Principal } from '../identity/principal.ts';
import { listEnvironmentClasses } from './environment-class.ts';
import { countOf, enumNames, paginationOf, pagingOf } from './paging.ts';

/** Access tokens to an environment end after an hour; clients ask again. */
const accessTokenLifetimeMs = 60 * 60 * 1000;

/** Header that makes a create idempotent. */
const idempotencyHeader = 'atelier-idempotency-key';
const idempotencyKeyLengthMax = 200;

type Implementation = Partial<ServiceImpl<typeof EnvironmentService>>;

/** The service on a plane. */
export function environmentHandlers(plane: PlaneContext): Implementation {
  return { ...recordHandlers(plane), ...lifeHandlers(plane), ...tokenHandlers(plane) };
}

/** Environments as records: made, read, changed. */
function recordHandlers(plane: PlaneContext): Implementation {
  const { store, clock } = plane;
  return {
    async getEnvironment(request, context) {
      return {
        environment: (await findEnvironment(plane, request.environmentId, requireUser(context))).value,
      };
    },
    async listEnvironments(request, context) {
      const user = requireUser(context);
      const page = await store.list('environment', await queryOf(plane, request, user));
      return {
        environments: page.rows.map((row) => row.value),
        pagination: paginationOf(page),
        ...optional('count', countOf(request.count, page)),
      };
    },
    listEnvironmentClasses: (request, context) =>
      listEnvironmentClasses(plane, request, requireUser(context)),
    async createEnvironment(request, context) {
      const owner = requireUser(context);
      const idempotencyKey = idempotencyKeyOf(context);
      return { environment: (await createEnvironment(plane, request, { owner, idempotencyKey })).value };
    },
    async updateEnvironment(request, context) {
      const { value } = await findEnvironment(plane, request.environmentId, requireUser(context));
      const text = request.metadata?.name;
      if (text === '') throw new AtelierError('invalid_argument', 'metadata.name must not be empty');
      requirePrintable(text ?? '');
      const initializer = request.spec?.content?.initializer;
      const sealed = await sealCredential(plane, initializer && takeCredential(initializer).credential, {
        environmentId: value.id,
        organizationId: value.metadata?.organizationId ?? '',
        classId: value.spec?.machine?.class ?? '',
        runnerId: value.metadata?.runnerId ?? '',
      });
      const update = (environment: Environment): Environment => {
        applyUpdate(environment, request, clock.nowMs(), sealed);
        return environment;
      };
      const owner = value.metadata?.creator?.id ?? '';
      await store.update(
        'environment',
        value.id,
        update,
        text === undefined ? {} : { name: { owner, text } },
      );
      return {};
    },
  };
}

/** What is wished of an environment: to run, to stop, to go, to be kept apart. */
function lifeHandlers(plane: PlaneContext): Implementation {
  const { store, clock } = plane;

  async function change(id: string, context: HandlerContext, alter: (environment: Environment) => boolean) {
    await findEnvironment(plane, id, requireUser(context));
    await store.update('environment', id, (environment) => (alter(environment) ? environment : undefined));
    return {};
  }

  const desirePhase = (id: string, context: HandlerContext, desired: EnvironmentPhase) =>
    change(id, context, (environment) => desire(environment, desired, newId(plane), clock.nowMs()));

  return {
    startEnvironment: (request, context) =>
      desirePhase(request.environmentId, context, EnvironmentPhase.RUNNING),
    stopEnvironment: (request, context) =>
      desirePhase(request.environmentId, context, EnvironmentPhase.STOPPED),
    deleteEnvironment: (request, context) =>
      desirePhase(request.environmentId, context, EnvironmentPhase.DELETED),
    markEnvironmentActive: (request, context) =>
      change(request.environmentId, context, (environment) =>
        markActive(environment, request, clock.nowMs()),
      ),
    archiveEnvironment: (request, context) =>
      change(request.environmentId, context, (environment) => archive(environment, clock.nowMs())),
    unarchiveEnvironment: (request, context) =>
      change(request.environmentId, context, (environment) => {
        if (!environment.metadata?.archivedAt) return false;
        delete environment.metadata.archivedAt;
        return true;
      }),
  };
}

/** Tokens with which a client goes to the runner. */
function tokenHandlers(plane: PlaneContext): Implementation {
  async function accessToken(id: string, context: HandlerContext, scope: AccessScope) {
    const user = requireUser(context);
    await findEnvironment(plane, id, user);
    const claims = { environmentId: id, scope, subjectId: user.id };
    const expiresAtMs = plane.clock.nowMs() + accessTokenLifetimeMs;
    return { accessToken: await signAccessToken(plane.signingKey.privatePem, claims, expiresAtMs) };
  }
  return {
    createEnvironmentLogsToken: (request, context) => accessToken(request.environmentId, context, 'logs'),
    createEnvironmentAccessToken: (request, context) => accessToken(request.environmentId, context, 'ops'),
  };
}

function idempotencyKeyOf(context: HandlerContext): string | undefined {
  const key = context.requestHeader.get(idempotencyHeader) ?? undefined;
  if (key === undefined || (key !== '' && key.length <= idempotencyKeyLengthMax)) return key;
  throw new AtelierError(
    'invalid_argument',
    `the header ${idempotencyHeader} must have 1 to ${idempotencyKeyLengthMax} characters`,
  );
}

/** One environment of the caller's organization; `not_found` for any other. */
export async function findEnvironment(
  plane: PlaneContext,
  id: string,
  user: Principal,
): Promise<Row<'environment'>> {
  const row = await plane.store.get('environment', id);
  if (row?.organizationId === user.organizationId) return row;
  throw new AtelierError('not_found', `environment ${id} does not exist; "atelier ls" shows those that do`);
}

async function queryOf(
  plane: PlaneContext,
  request: ListEnvironmentsRequest,
  user: Principal,
): Promise<Query> {
  const { filter } = request;
  const archival = filter?.archivalStatus ?? ArchivalStatus.ACTIVE;
  const archived =
    { [ArchivalStatus.ACTIVE]: ['false'], [ArchivalStatus.ARCHIVED]: ['true'] }[archival as 1 | 2] ?? [];
  const byArchivedAt = request.sort?.field === SortField.ARCHIVED_AT;
  return {
    organizationId: user.organizationId,
    ...pagingOf(request.pagination),
    attributes: {
      runnerId: await runnersOf(
        plane,
        user.organizationId,
        filter?.runnerIds ?? [],
        filter?.runnerKinds ?? [],
      ),
      phase: enumNames(EnvironmentPhase, filter?.statusPhases ?? []),
      creatorId: filter?.creatorIds ?? [],
      projectId: filter?.projectIds ?? [],
      role: enumNames(EnvironmentRole, filter?.roles ?? []),
      sessionId: filter?.sessionIds ?? [],
      archived,
    },
    search: filter?.search ?? '',
    ...optional('createdBeforeMs', filter?.createdBefore && timestampMs(filter.createdBefore)),
    sort: {
      by: byArchivedAt ? 'archivedAt' : 'id',
      order: request.sort?.order === SortOrder.DESC ? 'descending' : 'ascending',
    },
    count: request.count?.include ?? false,
  };
}

/** Runner kinds are a property of the runners: they become the ids of the runners of these kinds. */
async function runnersOf(
  plane: PlaneContext,
  organizationId: string,
  ids: readonly string[],
  kinds: readonly RunnerKind[],
): Promise<string[]> {
  if (kinds.length === 0) return [...ids];
  const page = await plane.store.list('runner', {
    organizationId,
    attributes: { kind: enumNames(RunnerKind, kinds) },
    pageSize: 100,
  });
  const matching = page.rows.map((row) => row.id).filter((id) => ids.length === 0 || ids.includes(id));
  return matching.length > 0 ? matching : ['no runner is of this kind'];
}

/** A property that is left out when it has no value. */
function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [key in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [key in Key]: Value });
}
