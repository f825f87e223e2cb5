import { SyncResponseSchema } from '@atelier/api/atelier/runner_link';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { openLedger } from '../ledger.ts';
import { ManualClock } from '@atelier/api/testing';
import { MemoryDisk } from '../testing/memory-storage.ts';
import { createOutbox } from './outbox.ts';
import { createPlaneLink, defaultPlaneLinkSettings } from './plane-link.ts';

const id = '0190dddd-0000-7000-8000-000000000001';
type Message = MessageInitShape<typeof SyncResponseSchema>['message'];
const welcome: Message = { case: 'welcome', value: { protocolVersion: 1, planeId: id } };

it.each<[what: string, messages: Message[], reason: string]>([
  ['no welcome', [{ case: 'heartbeat', value: {} }], 'did not begin with a welcome'],
  [
    'a lease that is longer than any span',
    [{ case: 'welcome', value: { protocolVersion: 1, planeId: id, lease: { seconds: 2n ** 60n } } }],
    'cannot be written down',
  ],
  [
    'a time that no calendar has',
    [
      welcome,
      {
        case: 'desired',
        value: {
          revision: 1n,
          environments: [{ environment: { id, metadata: { createdAt: { seconds: 2n ** 60n } } } }],
        },
      },
    ],
    'cannot be written down',
  ],
  [
    'a path in the place of an id that is forgotten',
    [welcome, { case: 'desired', value: { revision: 1n, forgottenIds: ['../x'] } }],
    'the id "../x", which is none',
  ],
])('%s: nothing of it gets into the ledger', async (_what, messages, reason) => {
  const clock = new ManualClock();
  const ledger = await openLedger(new MemoryDisk().ledger, id);
  const link = createPlaneLink({
    clock,
    random: () => 0,
    async *dial() {
      for (const message of messages) yield create(SyncResponseSchema, { message } as never);
    },
    ledger,
    outbox: createOutbox(clock, 500),
    settings: defaultPlaneLinkSettings,
    describe: async () => ({ runnerId: id }),
    onDesired: () => expect.unreachable(),
    onReleased: () => undefined,
  });
  link.start();
  await expect.poll(() => link.state().message).toContain(reason);
  await link.stop();
  expect(ledger.ids()).toEqual([]);
  expect(ledger.revision()).toBe(0n);
});
