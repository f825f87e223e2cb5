import { create } from '@bufbuild/protobuf';
import { EnvironmentSchema } from '@atelier/api/gitpod/environment';
import { ServiceSchema } from '@atelier/api/gitpod/environment_automation';
import { ResourceType } from '@atelier/api/gitpod/event';
import { ResourceService, type WatchResourcesResponse } from '@atelier/api/atelier/resource';
import { toConnectError, AtelierError } from '@atelier/api';
import { createRouterTransport, createClient as createServiceClient } from '@connectrpc/connect';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { WatchResourcesResponseSchema } from '@atelier/api/atelier/resource';
import { systemClock } from '@atelier/api/system';
import { describe, expect, it } from 'vitest';
import { ourTransport } from './connection.ts';
import { waitForEnvironment, watchResources } from './index.ts';
import { environmentId } from './testing/server.ts';

type Response = MessageInitShape<typeof WatchResourcesResponseSchema>;

const environment = (version: number): Response => ({
  revision: BigInt(version),
  change: {
    case: 'environment',
    value: create(EnvironmentSchema, { id: environmentId, metadata: { name: `v${version}` } }),
  },
});
const service = (revision: number, id: string): Response => ({
  revision: BigInt(revision),
  change: { case: 'service', value: create(ServiceSchema, { id, environmentId }) },
});
const end = (revision: number): Response => ({
  revision: BigInt(revision),
  change: { case: 'snapshotEnd', value: {} },
});
const beat = (revision: number): Response => ({
  revision: BigInt(revision),
  change: { case: 'heartbeat', value: {} },
});

/** A plane whose every connection sends one list of responses and then breaks, with the error if there is one. */
function planeOf(connections: Response[][], last?: AtelierError) {
  const cursors: bigint[] = [];
  const transport = createRouterTransport(({ service: add }) => {
    add(ResourceService, {
      async *watchResources(request) {
        cursors.push(request.cursor);
        const responses = connections.shift();
        yield* responses ?? [];
        if (!responses && last) throw toConnectError(last);
        if (!responses) await new Promise(() => undefined);
        throw toConnectError(new AtelierError('unavailable', 'cut'));
      },
    });
  });
  const client = {
    clock: systemClock,
    patienceMs: 2_000,
    service: (definition: never) =>
      createServiceClient(definition, ourTransport(transport, { clock: systemClock, patienceMs: 0 })),
  };
  return { client: client as Parameters<typeof watchResources>[0], cursors };
}

function wordOf(change: WatchResourcesResponse['change']): string {
  if (change.case === 'environment') return change.value.metadata?.name ?? '';
  if (change.case === 'deleted')
    return `deleted ${ResourceType[change.value.resourceType]} ${change.value.resourceId}`;
  return change.case === 'service' ? change.value.id : (change.case ?? '');
}

describe('watchResources', () => {
  it('goes on behind the last change after a cut', async () => {
    const { client, cursors } = planeOf([
      [environment(3), end(5), environment(6)],
      [environment(8), beat(8)],
      [environment(9)],
    ]);
    const words: string[] = [];
    for await (const change of watchResources(client)) {
      words.push(wordOf(change));
      if (words.length === 5) break;
    }
    expect(words).toEqual(['v3', 'snapshotEnd', 'v6', 'v8', 'v9']);
    expect(cursors).toEqual([0n, 6n, 8n]);
  });

  it('asks for the snapshot again when it was cut in the middle of it', async () => {
    const { client, cursors } = planeOf([[environment(3)], [environment(3), end(5)]]);
    const words: string[] = [];
    for await (const change of watchResources(client)) {
      words.push(wordOf(change));
      if (change.case === 'snapshotEnd') break;
    }
    expect(words).toEqual(['v3', 'v3', 'snapshotEnd']);
    expect(cursors).toEqual([0n, 0n]);
  });

  it('reports what a new snapshot lacks as deleted', async () => {
    const { client } = planeOf([
      [environment(3), service(4, 'web'), service(4, 'db'), end(5)],
      [service(7, 'db'), environment(9), end(9)],
    ]);
    const words: string[] = [];
    for await (const change of watchResources(client)) {
      words.push(wordOf(change));
      if (words.filter((word) => word === 'snapshotEnd').length === 2) break;
    }
    expect(words.slice(4)).toEqual(['db', 'v9', 'deleted SERVICE web', 'snapshotEnd']);
  });

  it('gives up on an error that will not go away', async () => {
    const { client } = planeOf([], new AtelierError('not_found', 'gone'));
    await expect(watchResources(client).next()).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('waitForEnvironment', () => {
  it('gives whole views only, and the first result', async () => {
    const { client } = planeOf([[environment(1), service(2, 'web'), end(2), environment(3), environment(4)]]);
    const views: string[] = [];
    const result = await waitForEnvironment(client, environmentId, (view) => {
      views.push(`${view.environment?.metadata?.name} ${[...view.services.keys()]}`);
      return views.length === 2 ? 'done' : undefined;
    });
    expect(result).toBe('done');
    expect(views).toEqual(['v1 web', 'v3 web']);
  });

  it('shows an environment that vanished as a view without it', async () => {
    const { client } = planeOf([[environment(1), end(1)]], new AtelierError('not_found', 'gone'));
    const result = await waitForEnvironment(client, environmentId, (view) =>
      view.environment ? undefined : 'gone',
    );
    expect(result).toBe('gone');
  });

  it('ends with canceled when nobody waits any more', async () => {
    const { client } = planeOf([[environment(1), end(1)]]);
    const leave = new AbortController();
    const waiting = waitForEnvironment(client, environmentId, () => leave.abort() as undefined, {
      signal: leave.signal,
    });
    await expect(waiting).rejects.toMatchObject({ code: 'canceled' });
  });
});
