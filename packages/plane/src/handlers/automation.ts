/** gitpod.v1.EnvironmentAutomationService: services. Tasks are in task.ts. */
import { AtelierError } from '@atelier/api';
import { EnvironmentPhase, type Environment } from '@atelier/api/gitpod/environment';
import {
  ServicePhase,
  ServiceRole,
  ServiceSpec_CommandsSchema,
  type EnvironmentAutomationService,
  type Service,
  type UpdateServiceRequest,
} from '@atelier/api/gitpod/environment_automation';
import { Principal as PrincipalType, SubjectSchema, type Subject } from '@atelier/api/gitpod/subject';
import { serviceSession } from '@atelier/reconcile';
import type { Row } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { isStopped, makeService } from '../automations/records.ts';
import { startService } from '../automations/start.ts';
import { upsertAutomationsFile } from '../automations/upsert.ts';
import { newId, type PlaneContext } from '../context.ts';
import { requireUser, type Principal } from '../identity/principal.ts';
import { findEnvironment } from './environment.ts';
import { enumNames, paginationOf, pagingOf } from './paging.ts';

type Implementation = Partial<ServiceImpl<typeof EnvironmentAutomationService>>;

/** The service half of the automation service on a plane. */
export function serviceHandlers(plane: PlaneContext): Implementation {
  return { ...recordHandlers(plane), ...runHandlers(plane) };
}

/** Services as records: made, read, changed, removed. */
function recordHandlers(plane: PlaneContext): Implementation {
  const { store, clock } = plane;
  const own = ownService(plane);
  return {
    async createService(request, context) {
      const user = requireUser(context);
      const environment = await findEnvironment(plane, request.environmentId, user);
      const id = newId(plane);
      const facts = { id, environmentId: environment.id, creator: subjectOf(user), nowMs: clock.nowMs() };
      const row = await store.create('service', {
        id,
        organizationId: user.organizationId,
        environmentId: environment.id,
        name: { owner: environment.id, text: request.metadata?.reference || id },
        value: makeService(facts, request.metadata, request.spec),
      });
      return { service: row.value };
    },
    async getService(request, context) {
      return { service: (await own(request.id, context)).value };
    },
    async listServices(request, context) {
      const page = await store.list('service', {
        organizationId: requireUser(context).organizationId,
        ...pagingOf(request.pagination),
        environmentIds: request.filter?.environmentIds ?? [],
        ids: request.filter?.serviceIds ?? [],
        attributes: {
          reference: request.filter?.references ?? [],
          role: enumNames(ServiceRole, request.filter?.roles ?? []),
        },
      });
      return { services: page.rows.map((row) => row.value), pagination: paginationOf(page) };
    },
    async updateService(request, context) {
      await own(request.id, context);
      if (request.status) {
        throw new AtelierError('permission_denied', 'the status of a service is written by its environment');
      }
      await store.update('service', request.id, (service) => applyUpdate(service, request));
      return {};
    },
    async deleteService(request, context) {
      const row = await own(request.id, context);
      if (!isStopped(row.value) && !request.force) {
        throw new AtelierError(
          'failed_precondition',
          `service ${row.id} runs; stop it first, or delete it by force`,
        );
      }
      await store.delete('service', row.id);
      return {};
    },
  };
}

/** Services as processes, and the file that declares them. */
function runHandlers(plane: PlaneContext): Implementation {
  const { store } = plane;
  const own = ownService(plane);
  return {
    async startService(request, context) {
      const row = await own(request.id, context);
      const { value } = await requireRunning(plane, row.environmentId, requireUser(context));
      await startService(plane, row.value, manualSession(value, newId(plane)));
      return {};
    },
    async stopService(request, context) {
      await own(request.id, context);
      await store.update('service', request.id, (service) => {
        if (!service.spec || service.spec.desiredPhase === ServicePhase.STOPPED) return undefined;
        service.spec.desiredPhase = ServicePhase.STOPPED;
        service.spec.specVersion += 1n;
        return service;
      });
      return {};
    },
    async upsertAutomationsFile(request, context) {
      const user = requireUser(context);
      const environment = await findEnvironment(plane, request.environmentId, user);
      if (!request.automationsFile) throw new AtelierError('invalid_argument', 'automations_file is missing');
      return upsertAutomationsFile(plane, environment, request.automationsFile, subjectOf(user));
    },
  };
}

function ownService(plane: PlaneContext): (id: string, context: HandlerContext) => Promise<Row<'service'>> {
  return async (id, context) => findService(plane, id, requireUser(context));
}

async function findService(plane: PlaneContext, id: string, user: Principal): Promise<Row<'service'>> {
  const row = await plane.store.get('service', id);
  if (row?.organizationId === user.organizationId) return row;
  throw new AtelierError('not_found', `service ${id} does not exist`);
}

/** Services and tasks start only in an environment that is to run. */
export async function requireRunning(
  plane: PlaneContext,
  environmentId: string,
  user: Principal,
): Promise<Row<'environment'>> {
  const environment = await findEnvironment(plane, environmentId, user);
  if (environment.value.spec?.desiredPhase === EnvironmentPhase.RUNNING) return environment;
  throw new AtelierError(
    'failed_precondition',
    `environment ${environmentId} is not running; start it first`,
  );
}

/** The session of a start that a person asked for in the environment's present run. */
function manualSession({ status }: Environment, cause: string): string {
  const boot = status?.detail?.boot ?? '';
  return serviceSession({ boot, devcontainerSession: status?.devcontainer?.session ?? '' }, cause);
}

/** A principal as public messages name it. */
export function subjectOf(principal: Principal): Subject {
  const type = principal.kind === 'user' ? PrincipalType.USER : PrincipalType.RUNNER;
  return create(SubjectSchema, { id: principal.id, principal: type });
}

function applyUpdate(service: Service, request: UpdateServiceRequest): Service {
  const { metadata, spec } = service;
  if (metadata && request.metadata) {
    metadata.name = request.metadata.name ?? metadata.name;
    metadata.description = request.metadata.description ?? metadata.description;
    metadata.role = request.metadata.role ?? metadata.role;
    if (request.metadata.triggeredBy) metadata.triggeredBy = request.metadata.triggeredBy.trigger;
  }
  if (spec && request.spec) {
    if (!isStopped(service)) {
      throw new AtelierError(
        'failed_precondition',
        `service ${service.id} runs; its spec may change only while stopped`,
      );
    }
    const commands = (spec.commands ??= create(ServiceSpec_CommandsSchema));
    commands.start = request.spec.commands?.start ?? commands.start;
    commands.ready = request.spec.commands?.ready ?? commands.ready;
    commands.stop = request.spec.commands?.stop ?? commands.stop;
    if (request.spec.runsOn) spec.runsOn = request.spec.runsOn;
    if (request.spec.env.length > 0) spec.env = request.spec.env;
    if (request.spec.readinessTimeout) spec.readinessTimeout = request.spec.readinessTimeout;
    spec.specVersion += 1n;
  }
  return service;
}
