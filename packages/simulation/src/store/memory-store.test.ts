import { sleep } from '@atelier/api';
import { systemClock } from '@atelier/api/system';
import type { Store } from '@atelier/store';
import { storeSuite } from '@atelier/store/suite';
import { MemoryDatabase, openMemoryStore } from './memory-store.ts';

/** Ids order rows by the millisecond of their creation: one row per millisecond, as a database has it. */
function unhurried(store: Store): Store {
  const create = store.create.bind(store);
  store.create = async (kind, row) => {
    await sleep(systemClock, 2);
    return create(kind, row);
  };
  return store;
}

storeSuite('in memory', async () => {
  const database = new MemoryDatabase();
  return {
    store: unhurried(openMemoryStore(database)),
    reopen: async () => unhurried(openMemoryStore(database)),
    close: async () => {},
  };
});
