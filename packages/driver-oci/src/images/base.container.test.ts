import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileOf, missingForImages, openPlace, type Place } from './fixture.ts';

const reason = missingForImages() ?? (existsSync('/usr/bin/mmdebstrap') ? undefined : 'needs mmdebstrap');
if (reason !== undefined) console.warn(`the base image is not tested: ${reason}`);

/** One test makes everything: the image is 240 MB. */
describe.skipIf(reason !== undefined)('the base image', () => {
  let place: Place;
  beforeAll(async () => {
    place = await openPlace();
  });
  afterAll(() => place?.close());

  it(
    'is made where a Dockerfile starts from it, and packages can be installed into it',
    { timeout: 600_000 },
    async () => {
      const dockerfile = [
        'FROM localhost/atelier/base',
        'RUN apt-get update && apt-get install -y --no-install-recommends hello && hello >/said',
        'USER atelier',
        'RUN sudo id -u >/home/atelier/id && git --version',
      ].join('\n');
      const environmentId = await place.environment({ Dockerfile: dockerfile });
      await place.driver.networks.ensure(environmentId, { egress: 'internet', privateRanges: true });
      const built = await place.build(environmentId);
      expect((await fileOf(place, built, 'said'))?.text).toBe('Hello, world!\n');
      expect(await fileOf(place, built, 'home/atelier/id')).toEqual({ text: '0\n', owner: '1000:1000' });
      expect(await fileOf(place, built, 'dev/atelier-host/0/ca-certificates.crt')).toBeUndefined();

      const base = await place.ensure({ kind: 'base' });
      expect(place.told).toEqual([]);
      expect(base.configuration).toMatchObject({
        user: '',
        labels: { 'devcontainer.metadata': expect.any(String) },
      });
      expect(await place.ensure({ kind: 'reference', reference: 'localhost/atelier/base' })).toEqual(base);
      expect((await fileOf(place, base, 'etc/passwd'))?.text).toContain('atelier:x:1000:1000:');
      await place.driver.networks.remove(environmentId);
      expect(await place.leftovers()).toEqual([]);
    },
  );
});
