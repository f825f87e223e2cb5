import { sleep } from '@atelier/api';
import { systemClock } from '@atelier/api/system';
import type { Store } from '@atelier/store';
import { storeSuite } from '@atelier/store/suite';
import { MemoryDatabase } from './memory-database.ts';
import { openMemoryStore } from './memory-store.ts';

/**
 * As slow as a database at the least: ids order rows by the millisecond of their creation, and whoever reads
 * changes in a loop lets others write in between.
 */
function unhurried(store: Store): Store {
  const create = store.create.bind(store);
  const changesSince = store.changesSince.bind(store);
  store.create = async (kind, row) => {
    await sleep(systemClock, 2);
    return create(kind, row);
  };
  store.changesSince = async (cursor, scope) => {
    await sleep(systemClock, 1);
    return changesSince(cursor, scope);
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
