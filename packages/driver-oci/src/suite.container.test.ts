import { diskDriverSuite, instanceDriverSuite, networkDriverSuite } from '@atelier/driver/suite';
import { describe, it } from 'vitest';
import { makeSubject, whyNotHere } from './test-subject.ts';

const why = whyNotHere();
if (why === undefined) {
  diskDriverSuite('oci', makeSubject);
  instanceDriverSuite('oci', makeSubject);
  networkDriverSuite('oci', makeSubject);
} else {
  describe('the oci driver', () => {
    it(`cannot be tried here: ${why}`, ({ skip }) => skip(why));
  });
}
