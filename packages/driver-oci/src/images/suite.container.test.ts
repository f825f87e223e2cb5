import { imageDriverSuite, type DriverSubject } from '@atelier/driver/suite';
import { describe, it } from 'vitest';
import { busyboxName, missingForImages, openDriver, openPlace } from './fixture.ts';

const reason = missingForImages();

async function makeSubject(): Promise<DriverSubject> {
  const place = await openPlace();
  const { digest } = await place.ensure({ kind: 'reference', reference: busyboxName });
  const environmentId = await place.environment({ Dockerfile: `FROM ${busyboxName}\nLABEL other=yes\n` });
  const other = await place.build(environmentId);
  await place.driver.disks.remove(environmentId);
  let driver = place.driver;
  return {
    driver,
    async reopen() {
      await driver.close();
      driver = await openDriver(place.home);
      return driver;
    },
    imageDigest: digest,
    imageReference: busyboxName,
    otherImageDigest: other.digest,
    supervisorPresent: false,
    workspace: {
      write: async (id, path, text) => place.write(id, path, text),
      list: async () => [],
    },
    kill: async () => {},
    leftovers: place.leftovers,
    close: place.close,
  };
}

if (reason === undefined) imageDriverSuite('oci', makeSubject);
else describe('images of oci', () => it(`cannot be tried here: ${reason}`, ({ skip }) => skip(reason)));
