/** Cases of subscribe. */
import { systemClock } from '@atelier/api/system';
import { sleep } from '@atelier/api';
import { describe, expect, it, vi } from 'vitest';
import { counted, makeEnvironment, type StoreSubject } from './subject.ts';

const quietMs = 50;

/** Registers the cases. */
export function subscriptionCases(subject: () => StoreSubject): void {
  const store = () => subject().store;

  describe('a subscriber', () => {
    it('is woken by every kind of write, of every replica', async () => {
      const replica = (await subject().reopen?.()) ?? store();
      const wake = vi.fn();
      const subscription = await store().subscribe(wake);
      const woken = async (write: () => Promise<unknown>): Promise<void> => {
        wake.mockClear();
        await write();
        await vi.waitFor(() => expect(wake).toHaveBeenCalled());
      };
      const { id } = await makeEnvironment(replica);
      await woken(() => makeEnvironment(replica));
      await woken(() => replica.update('environment', id, counted));
      await woken(() => store().delete('environment', id));
      await subscription.close();
    });

    it('is not woken by a write that changed nothing', async () => {
      const { id } = await makeEnvironment(store(), {}, { idempotencyKey: 'once' });
      const wake = vi.fn();
      const subscription = await store().subscribe(wake);
      await store().update('environment', id, () => undefined);
      await makeEnvironment(store(), {}, { idempotencyKey: 'once' });
      await store().delete('environment', 'not there');
      await sleep(systemClock, quietMs);
      expect(wake).not.toHaveBeenCalled();
      await subscription.close();
    });

    it('is not woken after it was closed', async () => {
      const wake = vi.fn();
      const subscription = await store().subscribe(wake);
      await subscription.close();
      await makeEnvironment(store());
      await sleep(systemClock, quietMs);
      expect(wake).not.toHaveBeenCalled();
    });
  });
}
