/** atelier.v1.ResourceService: the watch with cursor, snapshot and the resources themselves. */
import { runnerProtocolVersion, softwareVersion, type Clock } from '@atelier/api';
import {
  WatchResourcesResponseSchema,
  type ResourceService,
  type WatchResourcesRequest,
  type WatchResourcesResponse,
} from '@atelier/api/atelier/resource';
import type { Change, ChangeScope, Kind, Row } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { closeWith, type ChangeFeed, type ChangeWatcher } from '../change-feed.ts';
import type { PlaneContext } from '../context.ts';
import { requireUser, type Principal } from '../identity/principal.ts';
import { AsyncQueue } from '../queue.ts';
import { findEnvironment } from './environment.ts';
import { environmentKinds, kindOf, organizationKinds, resourceTypeOf } from './resource-type.ts';
import { readSnapshot } from './snapshot.ts';

const heartbeatMs = 15_000;

/** The service on a plane. */
export function resourceHandlers(plane: PlaneContext, feed: ChangeFeed): ServiceImpl<typeof ResourceService> {
  return {
    async *watchResources(request, context) {
      const scope = await scopeOf(plane, request, requireUser(context));
      const watcher = feed.watch(scope);
      closeWith(watcher, context.signal);
      try {
        yield* watch(plane, scope, watcher, request.cursor);
      } finally {
        watcher.close();
      }
    },
    async getPlane() {
      return { planeId: plane.planeId, softwareVersion, protocolVersion: runnerProtocolVersion };
    },
  };
}

async function scopeOf(
  plane: PlaneContext,
  request: WatchResourcesRequest,
  user: Principal,
): Promise<ChangeScope> {
  const asked = request.resourceTypes.map(kindOf);
  const chosen = (kinds: readonly Kind[]) =>
    asked.length === 0 ? kinds : kinds.filter((kind) => asked.includes(kind));
  const { organizationId } = user;
  if (request.environmentId === '')
    return { organizationId, kinds: chosen([...organizationKinds, ...environmentKinds.slice(1)]) };
  const { id } = await findEnvironment(plane, request.environmentId, user);
  return { organizationId, environmentId: id, kinds: chosen(environmentKinds) };
}

async function* watch(
  plane: PlaneContext,
  scope: ChangeScope,
  watcher: ChangeWatcher,
  cursor: bigint,
): AsyncIterable<WatchResourcesResponse> {
  let position = cursor;
  let missed = position === 0n ? undefined : await plane.store.changesSince(position, scope);
  while (missed && !missed.resync && missed.changes.length > 0) {
    for (const change of missed.changes) yield responseOf(change);
    position = missed.revision;
    missed = await plane.store.changesSince(position, scope);
  }
  if (!missed || missed.resync) {
    const snapshot = await readSnapshot(plane.store, scope);
    for (const row of snapshot.rows) yield responseOf({ type: 'row', row });
    position = snapshot.revision;
    yield create(WatchResourcesResponseSchema, {
      revision: position,
      change: { case: 'snapshotEnd', value: {} },
    });
  }
  for await (const item of withHeartbeats(watcher, plane.clock)) {
    if (item === 'heartbeat') {
      yield create(WatchResourcesResponseSchema, {
        revision: position,
        change: { case: 'heartbeat', value: {} },
      });
      continue;
    }
    for (const change of item) {
      const revision = change.type === 'row' ? change.row.revision : change.revision;
      if (revision <= position) continue;
      yield responseOf(change);
      position = revision;
    }
  }
}

/** Batches of changes, and a heartbeat whenever nothing came for a while. */
async function* withHeartbeats(watcher: ChangeWatcher, clock: Clock): AsyncIterable<Change[] | 'heartbeat'> {
  const queue = new AsyncQueue<Change[] | 'heartbeat'>();
  let timer = clock.timer(heartbeatMs, beat);
  function beat(): void {
    queue.push('heartbeat');
    timer = clock.timer(heartbeatMs, beat);
  }
  const pump = async (): Promise<void> => {
    for (let batch = await watcher.next(); batch; batch = await watcher.next()) queue.push(batch);
    queue.end();
  };
  void pump();
  try {
    yield* queue;
  } finally {
    timer.cancel();
    watcher.close();
  }
}

function responseOf(change: Change): WatchResourcesResponse {
  if (change.type === 'deleted') {
    const value = { resourceType: resourceTypeOf(change.kind), resourceId: change.id };
    return create(WatchResourcesResponseSchema, {
      revision: change.revision,
      change: { case: 'deleted', value },
    });
  }
  return create(WatchResourcesResponseSchema, {
    revision: change.row.revision,
    change: changeOf(change.row),
  });
}

function changeOf(row: Row): WatchResourcesResponse['change'] {
  switch (row.kind) {
    case 'environment':
      return { case: 'environment', value: (row as Row<'environment'>).value };
    case 'service':
      return { case: 'service', value: (row as Row<'service'>).value };
    case 'task':
      return { case: 'task', value: (row as Row<'task'>).value };
    case 'taskExecution':
      return { case: 'taskExecution', value: (row as Row<'taskExecution'>).value };
    case 'runner':
      return { case: 'runner', value: (row as Row<'runner'>).value };
    default:
      return { case: undefined };
  }
}
