/** The watch on resources, over as many connections as it takes. */
import { AtelierError, toAtelierError } from '@atelier/api';
import {
  DeletedResourceSchema,
  ResourceService,
  type WatchResourcesResponse,
} from '@atelier/api/atelier/resource';
import { ResourceType } from '@atelier/api/gitpod/event';
import { create } from '@bufbuild/protobuf';
import type { Caller } from './caller.ts';
import { isConnectionLoss, Patience } from './patience.ts';

/** What is watched, and who is told about the connection. */
export interface WatchOptions {
  /** Only this environment with its services, tasks and executions; all environments and runners without it. */
  readonly environmentId?: string;
  readonly resourceTypes?: readonly ResourceType[];
  readonly signal?: AbortSignal;
  /** Told once when the connection is lost, with the reason, and once when it is there again, without. */
  readonly onConnection?: (lostBecause: AtelierError | undefined) => void;
}

/**
 * A resource as it is now, the deletion of one, or `snapshotEnd`: from here on everything is known. A change
 * can come twice; it is always the whole resource.
 */
export type ResourceChange = Exclude<
  WatchResourcesResponse['change'],
  { case: 'heartbeat' } | { case: undefined }
>;

/**
 * Watches resources: first all as they are, then each change, over lost connections and restarts of the plane.
 * Ends when the signal is aborted. Errors: `not_found` for an environment that does not exist (any more), and
 * `unavailable` when the plane stays away for longer than the client's patience.
 */
export async function* watchResources(
  client: Caller,
  options: WatchOptions = {},
): AsyncGenerator<ResourceChange> {
  const { signal, onConnection } = options;
  const position = new WatchPosition();
  const patience = new Patience(client.clock, client.patienceMs);
  for (;;) {
    position.connect();
    try {
      const responses = client.service(ResourceService).watchResources(
        {
          environmentId: options.environmentId ?? '',
          cursor: position.cursor,
          resourceTypes: [...(options.resourceTypes ?? [])],
        },
        signal ? { signal } : {},
      );
      for await (const response of responses) {
        if (patience.isLost) onConnection?.(undefined);
        patience.succeeded();
        yield* position.take(response);
      }
      throw new AtelierError('unavailable', 'the management plane ended the watch');
    } catch (thrown) {
      const error = toAtelierError(thrown);
      if (signal?.aborted) return;
      if (!isConnectionLoss(error)) throw error;
      if (!patience.isLost) onConnection?.(error);
      await patience.wait(error, signal);
    }
  }
}

/** Where a watch stands: its cursor, and what has to be reported deleted when a snapshot lacks it. */
class WatchPosition {
  cursor = 0n;
  readonly #known = new Map<string, ResourceType>();
  #seen = new Set<string>();
  /**
   * Rows of a snapshot come in any order, and a plane may answer a cursor with one; so the cursor only moves
   * when this connection is known to be behind it.
   */
  #settled = false;

  connect(): void {
    this.#seen = new Set();
    this.#settled = false;
  }

  *take({ revision, change }: WatchResourcesResponse): Generator<ResourceChange> {
    if (change.case === 'snapshotEnd') yield* this.#deletions();
    if (change.case === 'snapshotEnd' || change.case === 'heartbeat') this.#settled = true;
    if (this.#settled) this.cursor = revision;
    if (change.case === undefined || change.case === 'heartbeat') return;
    if (change.case === 'deleted') this.#known.delete(change.value.resourceId);
    else this.#remember(change);
    yield change;
  }

  #remember(change: Exclude<ResourceChange, { case: 'deleted' }>): void {
    if (change.case === 'snapshotEnd') return;
    const id = change.case === 'runner' ? change.value.runnerId : change.value.id;
    this.#known.set(id, typeOf[change.case]);
    this.#seen.add(id);
  }

  *#deletions(): Generator<ResourceChange> {
    for (const [resourceId, resourceType] of this.#known) {
      if (this.#seen.has(resourceId)) continue;
      this.#known.delete(resourceId);
      yield { case: 'deleted', value: create(DeletedResourceSchema, { resourceId, resourceType }) };
    }
  }
}

const typeOf = {
  environment: ResourceType.ENVIRONMENT,
  service: ResourceType.SERVICE,
  task: ResourceType.TASK,
  taskExecution: ResourceType.TASK_EXECUTION,
  runner: ResourceType.RUNNER,
} as const;
