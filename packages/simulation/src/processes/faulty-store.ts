/** The store as the plane's process sees it: far away, and not always answering. */
import { AtelierError, type Random } from '@atelier/api';
import type { Store } from '@atelier/store';
import type { World } from '../world/world.ts';

const writes = ['create', 'update', 'delete', 'prune'] as const;
const reads = ['get', 'list', 'changesSince', 'revision'] as const;

/** A store whose calls fail before their effect or lose their answer, as the world's faults say. */
export function faultyStore(store: Store, world: World, random: Random): Store {
  const faulty: Store = Object.create(store) as Store;
  const unavailable = (what: string): AtelierError =>
    new AtelierError('unavailable', `The simulated database did not answer to ${what}.`);
  for (const name of [...writes, ...reads]) {
    const call = store[name].bind(store) as (...given: unknown[]) => Promise<unknown>;
    const method = async (...given: unknown[]): Promise<unknown> => {
      if (world.storeIsDown || world.strikes('store-error', random, world.faults.storeError)) {
        throw unavailable(name);
      }
      const answer = await call(...given);
      const isWrite = (writes as readonly string[]).includes(name);
      if (isWrite && world.strikes('store-lost-answer', random, world.faults.storeLostAnswer)) {
        throw unavailable(name);
      }
      return answer;
    };
    Object.assign(faulty, { [name]: method });
  }
  return Object.assign(faulty, { subscribe: store.subscribe.bind(store), close: store.close.bind(store) });
}
