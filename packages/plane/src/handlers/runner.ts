/** gitpod.v1.RunnerService. */
import { AtelierError } from '@atelier/api';
import {
  RunnerKind,
  RunnerPhase,
  RunnerProvider,
  RunnerSchema,
  RunnerSpecSchema,
  RunnerStatusSchema,
  type Runner,
  type RunnerService,
  type RunnerSpec,
} from '@atelier/api/gitpod/runner';
import { Principal as PrincipalType, SubjectSchema } from '@atelier/api/gitpod/subject';
import type { Row, Store } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { newId, type PlaneContext } from '../context.ts';
import { parseContextUrl, withoutSecrets } from '../context-url.ts';
import { requireUser, type Principal } from '../identity/principal.ts';
import type { Tokens } from '../identity/tokens.ts';
import { enumNames, paginationOf, pagingOf } from './paging.ts';

/** An exchange token is taken within a day or not at all. */
const exchangeTokenLifetimeMs = 24 * 60 * 60 * 1000;

type Implementation = Partial<ServiceImpl<typeof RunnerService>>;

/** The service on a plane. */
export function runnerHandlers(plane: PlaneContext, tokens: Tokens): Implementation {
  return { ...recordHandlers(plane), ...enrolmentHandlers(plane, tokens), ...repositoryHandlers(plane) };
}

/** How a runner comes to be one: it is made, and takes its token. */
function enrolmentHandlers(plane: PlaneContext, tokens: Tokens): Implementation {
  const exchangeToken = (id: string, organizationId: string) =>
    tokens.issue({ kind: 'runner', id, organizationId }, 'exchange', exchangeTokenLifetimeMs);

  return {
    async createRunner(request, context) {
      const user = requireUser(context);
      const runner = await writeRunner(plane, user, {
        name: request.name,
        kind: request.kind || RunnerKind.REMOTE,
        provider: request.provider || RunnerProvider.LINUX_HOST,
        spec: request.spec,
      });
      return { runner, exchangeToken: await exchangeToken(runner.runnerId, user.organizationId) };
    },
    async createRunnerToken(request, context) {
      const user = requireUser(context);
      const row = await findRunner(plane, request.runnerId, user);
      return { exchangeToken: await exchangeToken(row.id, user.organizationId) };
    },
  };
}

/** Runners as records: read, changed, removed. */
function recordHandlers(plane: PlaneContext): Implementation {
  const { store, clock } = plane;
  return {
    async getRunner(request, context) {
      return { runner: (await findRunner(plane, request.runnerId, requireUser(context))).value };
    },
    async listRunners(request, context) {
      const page = await store.list('runner', {
        organizationId: requireUser(context).organizationId,
        ...pagingOf(request.pagination),
        attributes: {
          creatorId: request.filter?.creatorIds ?? [],
          kind: enumNames(RunnerKind, request.filter?.kinds ?? []),
          provider: enumNames(RunnerProvider, request.filter?.providers ?? []),
        },
      });
      return { runners: page.rows.map((row) => row.value), pagination: paginationOf(page) };
    },
    async updateRunner(request, context) {
      await findRunner(plane, request.runnerId, requireUser(context));
      await store.update('runner', request.runnerId, (runner) => {
        if (request.name !== undefined) runner.name = request.name;
        if (request.spec?.desiredPhase !== undefined) {
          runner.spec ??= create(RunnerSpecSchema);
          runner.spec.desiredPhase = request.spec.desiredPhase;
        }
        runner.updatedAt = timestampFromMs(clock.nowMs());
        return runner;
      });
      return {};
    },
    async deleteRunner(request, context) {
      const row = await findRunner(plane, request.runnerId, requireUser(context));
      const environments = await store.list('environment', {
        attributes: { runnerId: [row.id] },
        pageSize: 1,
      });
      if (environments.rows.length > 0) {
        throw new AtelierError(
          'failed_precondition',
          `runner ${row.id} still has environments; delete them first`,
        );
      }
      await deleteClasses(store, row.id);
      await store.delete('runner', row.id);
      return {};
    },
  };
}

/** What a runner knows of repositories. */
function repositoryHandlers(plane: PlaneContext): Implementation {
  return {
    async parseContextURL(request, context) {
      requireUser(context);
      const git = parseContextUrl(request.contextUrl);
      const { branch, commit, tag, host, owner, repository: repo } = git;
      return {
        originalContextUrl: withoutSecrets(request.contextUrl),
        git: { cloneUrl: withoutSecrets(git.cloneUrl), branch, commit, tag, host, owner, repo },
      };
    },
    async checkAuthenticationForHost(request, context) {
      await findRunner(plane, request.runnerId, requireUser(context));
      // Nobody has to sign in: credentials come with the repository's URL so far.
      return { authenticated: true };
    },
  };
}

/** A class without its runner would be offered and could never be had. */
async function deleteClasses(store: Store, runnerId: string): Promise<void> {
  for (;;) {
    const { rows } = await store.list('environmentClass', {
      attributes: { runnerId: [runnerId] },
      pageSize: 100,
    });
    for (const { id } of rows) await store.delete('environmentClass', id);
    if (rows.length === 0) return;
  }
}

/** One runner of the caller's organization; `not_found` for any other. */
export async function findRunner(plane: PlaneContext, id: string, user: Principal): Promise<Row<'runner'>> {
  const row = await plane.store.get('runner', id);
  if (row?.organizationId === user.organizationId) return row;
  throw new AtelierError('not_found', `runner ${id} does not exist`);
}

/** Writes a new runner's row. */
export async function writeRunner(
  plane: PlaneContext,
  owner: Principal,
  facts: { name: string; kind: RunnerKind; provider: RunnerProvider; spec?: RunnerSpec | undefined },
): Promise<Runner> {
  const id = newId(plane);
  const now = timestampFromMs(plane.clock.nowMs());
  const spec = facts.spec ?? create(RunnerSpecSchema);
  if (spec.desiredPhase === RunnerPhase.UNSPECIFIED) spec.desiredPhase = RunnerPhase.ACTIVE;
  const value = create(RunnerSchema, {
    runnerId: id,
    name: facts.name,
    kind: facts.kind,
    provider: facts.provider,
    createdAt: now,
    updatedAt: now,
    spec,
    status: create(RunnerStatusSchema, {
      phase: RunnerPhase.CREATED,
      updatedAt: now,
      region: spec.configuration?.region ?? '',
    }),
    creator: create(SubjectSchema, { id: owner.id, principal: PrincipalType.USER }),
  });
  await plane.store.create('runner', { id, organizationId: owner.organizationId, value });
  return value;
}
