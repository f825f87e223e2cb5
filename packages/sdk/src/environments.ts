/** Environments as people speak of them: by name, id or the beginning of one. */
import { AtelierError, isId } from '@atelier/api';
import {
  EnvironmentPhase,
  EnvironmentService,
  ListEnvironmentsRequest_ArchivalStatus as ArchivalStatus,
  type CreateEnvironmentRequestSchema,
  type Environment,
} from '@atelier/api/gitpod/environment';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Caller } from './caller.ts';
import { idempotencyHeader } from './connection.ts';
import { waitForEnvironment, type EnvironmentView, type WaitOptions } from './view.ts';
import { watchResources, type ResourceChange, type WatchOptions } from './watch.ts';

/** What can be done with environments beside the typed calls. */
export interface Environments {
  /** Creates an environment. The same key gives the same environment, whatever else is asked for. */
  create(
    request: MessageInitShape<typeof CreateEnvironmentRequestSchema>,
    idempotencyKey?: string,
  ): Promise<Environment>;
  /** The environment of this id; `not_found`. */
  get(environmentId: string): Promise<Environment>;
  /** All environments, archived ones included, in the order of their making. */
  list(): Promise<Environment[]>;
  /**
   * The environment of this name or id, or the only one whose name or id begins so. Errors: `not_found` with
   * names that are near, `invalid_argument` with the candidates when there are several.
   */
  find(reference: string): Promise<Environment>;
  /** See {@link watchResources}. */
  watch(options?: WatchOptions): AsyncGenerator<ResourceChange>;
  /** See {@link waitForEnvironment}. */
  waitFor<Result>(
    environmentId: string,
    condition: (view: EnvironmentView) => Result | undefined,
    options?: WaitOptions,
  ): Promise<Result>;
}

const pageSize = 100;
const namesShownMax = 5;

/** Makes the helper of a client. */
export function createEnvironments(client: Caller): Environments {
  const service = client.service(EnvironmentService);

  async function list(): Promise<Environment[]> {
    const environments: Environment[] = [];
    for (let token = ''; ;) {
      const page = await service.listEnvironments({
        pagination: { pageSize, token },
        filter: { archivalStatus: ArchivalStatus.ALL },
      });
      environments.push(...page.environments);
      token = page.pagination?.nextToken ?? '';
      if (token === '') return environments;
    }
  }

  return {
    async create(request, idempotencyKey) {
      const headers = idempotencyKey === undefined ? {} : { [idempotencyHeader]: idempotencyKey };
      const { environment } = await service.createEnvironment(request, { headers });
      return present(environment);
    },
    get: async (environmentId) => present((await service.getEnvironment({ environmentId })).environment),
    list,
    async find(reference) {
      if (isId(reference))
        return present((await service.getEnvironment({ environmentId: reference })).environment);
      return selectEnvironment(await list(), reference);
    },
    watch: (options) => watchResources(client, options),
    waitFor: (environmentId, condition, options) =>
      waitForEnvironment(client, environmentId, condition, options),
  };
}

function present(environment: Environment | undefined): Environment {
  if (environment) return environment;
  throw new AtelierError('internal', 'the management plane answered without an environment');
}

/** The environment that a reference means, among those that there are. Errors as {@link Environments.find}. */
export function selectEnvironment(environments: readonly Environment[], reference: string): Environment {
  const live = environments.filter(({ status }) => status?.phase !== EnvironmentPhase.DELETED);
  const exact = live.find((each) => each.id === reference || nameOf(each) === reference);
  if (exact) return exact;
  const matching = live.filter(
    (each) => reference !== '' && (nameOf(each).startsWith(reference) || each.id.startsWith(reference)),
  );
  const [only] = matching;
  if (only && matching.length === 1) return only;
  if (matching.length > 1) {
    const candidates = matching.map((each) => `${nameOf(each)} (${each.id})`).sort();
    throw new AtelierError(
      'invalid_argument',
      `${JSON.stringify(reference)} could be ${listed(candidates)}; write more of it`,
    );
  }
  throw new AtelierError('not_found', missing(live.map(nameOf), reference));
}

function missing(names: readonly string[], reference: string): string {
  const what = `there is no environment ${JSON.stringify(reference)}`;
  if (names.length === 0) return `${what}; there is none at all yet, "atelier up" makes one`;
  const near = names
    .map((name) => ({ name, distance: distanceOf(name.toLowerCase(), reference.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(2, name.length / 3) || name.includes(reference))
    .sort((one, other) => one.distance - other.distance || (one.name < other.name ? -1 : 1))
    .map(({ name }) => name);
  if (near.length > 0) return `${what}; did you mean ${listed(near)}?`;
  return `${what}; "atelier ls" shows those that there are`;
}

function listed(items: readonly string[]): string {
  const shown = items.slice(0, namesShownMax);
  if (items.length > shown.length) return `${shown.join(', ')} or ${items.length - shown.length} more`;
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`;
}

function nameOf(environment: Environment): string {
  return environment.metadata?.name ?? '';
}

/** How many letters have to be changed, added or taken away (Levenshtein). */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const changed = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
