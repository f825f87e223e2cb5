import { storeSuite } from '@atelier/store/suite';
import { MemoryDatabase, openMemoryStore } from './memory-store.ts';

storeSuite('in memory', async () => {
  const database = new MemoryDatabase();
  return {
    store: openMemoryStore(database),
    reopen: async () => openMemoryStore(database),
    close: async () => {},
  };
});
