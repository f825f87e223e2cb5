/**
 * gitpod.v1.EventService: the public watch. It only says that something changed, has no cursor and no
 * snapshot; so that a client which reads before it watches misses nothing, every resource in scope is
 * announced once when the watch opens.
 */
import { AtelierError } from '@atelier/api';
import {
  ResourceOperation,
  WatchEventsResponseSchema,
  type EventService,
  type WatchEventsRequest,
  type WatchEventsResponse,
} from '@atelier/api/gitpod/event';
import type { Change, ChangeScope, Kind, Row } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { closeWith, type ChangeFeed } from '../change-feed.ts';
import type { PlaneContext } from '../context.ts';
import { requireUser, type Principal } from '../identity/principal.ts';
import { findEnvironment } from './environment.ts';
import { environmentKinds, kindOf, organizationKinds, resourceTypeOf } from './resource-type.ts';
import { readSnapshot } from './snapshot.ts';

/** The service on a plane. */
export function eventHandlers(
  plane: PlaneContext,
  feed: ChangeFeed,
): Partial<ServiceImpl<typeof EventService>> {
  return {
    async *watchEvents(request, context) {
      const user = requireUser(context);
      const scope = await scopeOf(plane, request, user);
      const watcher = feed.watch(scope);
      closeWith(watcher, context.signal);
      try {
        const snapshot = await readSnapshot(plane.store, scope);
        const known = snapshot.rows.filter((row) => matches(row, request));
        for (const row of known) yield eventOf(ResourceOperation.UPDATE, row.kind, row.id);
        // A watch answers with its first event: without one the client would wait for the first change.
        if (known.length === 0) yield create(WatchEventsResponseSchema);
        let cursor = snapshot.revision;
        for (let batch = await watcher.next(); batch; batch = await watcher.next()) {
          for (const change of batch) {
            if (revisionOf(change) <= cursor) continue;
            const event = eventOfChange(change, cursor, request);
            if (event) yield event;
          }
          cursor = batch.reduce((highest, change) => max(highest, revisionOf(change)), cursor);
        }
      } finally {
        watcher.close();
      }
    },
  };
}

async function scopeOf(
  plane: PlaneContext,
  request: WatchEventsRequest,
  user: Principal,
): Promise<ChangeScope> {
  const { organizationId } = user;
  if (request.scope.case === 'environmentId') {
    if (request.resourceTypeFilters.length > 0) {
      throw new AtelierError('invalid_argument', 'resource_type_filters are for the organization scope only');
    }
    const { id } = await findEnvironment(plane, request.scope.value, user);
    return { organizationId, environmentId: id, kinds: environmentKinds };
  }
  if (request.resourceTypeFilters.length === 0) return { organizationId, kinds: organizationKinds };
  const kinds = request.resourceTypeFilters.map(({ resourceType }) => kindOf(resourceType));
  return { organizationId, kinds: organizationKinds.filter((kind) => kinds.includes(kind)) };
}

function eventOfChange(
  change: Change,
  cursor: bigint,
  request: WatchEventsRequest,
): WatchEventsResponse | undefined {
  if (change.type === 'deleted') {
    // Its creator is not known any more: whoever watches by creator hears of every deletion.
    if (!matchesId(change.kind, change.id, request)) return undefined;
    return eventOf(ResourceOperation.DELETE, change.kind, change.id);
  }
  const { row } = change;
  if (!matches(row, request)) return undefined;
  if (row.createdRevision > cursor) return eventOf(ResourceOperation.CREATE, row.kind, row.id);
  const statusOnly = row.contentRevision <= cursor;
  return eventOf(statusOnly ? ResourceOperation.UPDATE_STATUS : ResourceOperation.UPDATE, row.kind, row.id);
}

function eventOf(operation: ResourceOperation, kind: Kind, resourceId: string): WatchEventsResponse {
  return create(WatchEventsResponseSchema, { operation, resourceType: resourceTypeOf(kind), resourceId });
}

function matchesId(kind: Kind, id: string, request: WatchEventsRequest): boolean {
  const filters = request.resourceTypeFilters.filter(
    ({ resourceType }) => resourceType === resourceTypeOf(kind),
  );
  if (request.resourceTypeFilters.length === 0) return true;
  return filters.some(({ resourceIds }) => resourceIds.length === 0 || resourceIds.includes(id));
}

function matches(row: Row, request: WatchEventsRequest): boolean {
  if (!matchesId(row.kind, row.id, request)) return false;
  const filters = request.resourceTypeFilters.filter(
    ({ resourceType }) => resourceType === resourceTypeOf(row.kind),
  );
  const creators = filters.flatMap(({ creatorIds }) => creatorIds);
  return creators.length === 0 || creators.includes(creatorOf(row));
}

function creatorOf(row: Row): string {
  if (row.kind === 'environment') return (row as Row<'environment'>).value.metadata?.creator?.id ?? '';
  if (row.kind === 'runner') return (row as Row<'runner'>).value.creator?.id ?? '';
  return '';
}

function revisionOf(change: Change): bigint {
  return change.type === 'row' ? change.row.revision : change.revision;
}

function max(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}
