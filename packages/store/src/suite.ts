/** The contract suite of the store: every sentence of the manual in store.ts as a case. */
import { afterEach, beforeEach, describe } from 'vitest';
import { changeCases } from './suite/changes.ts';
import { listCases } from './suite/lists.ts';
import type { StoreFactory, StoreSubject } from './suite/subject.ts';
import { subscriptionCases } from './suite/subscriptions.ts';
import { writeCases } from './suite/writes.ts';

export type { StoreFactory, StoreSubject } from './suite/subject.ts';

/** Runs every rule of `store.ts` against one implementation; `factory` gives an empty store for each case. */
export function storeSuite(name: string, factory: StoreFactory): void {
  describe(`the store ${name}`, () => {
    let subject: StoreSubject;
    const current = (): StoreSubject => subject;

    beforeEach(async () => {
      subject = await factory();
    });
    afterEach(() => subject.close());

    writeCases(current);
    listCases(current);
    changeCases(current);
    subscriptionCases(current);
  });
}
