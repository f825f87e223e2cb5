import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeId } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxName, fileOf, missingForImages, openPlace } from '../images/fixture.ts';
import { makeSubject, whyNotHere } from '../test-subject.ts';
import type { HostSettings } from './inheritance.ts';

const why = whyNotHere() ?? missingForImages();
if (why !== undefined) console.warn(`inheritance is not tested: ${why}`);

describe.skipIf(why !== undefined)('what a host with an authority and a proxy of its own passes on', () => {
  let folder: string;
  let hostSettings: HostSettings;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'atelier-host-'));
    const [bundle, additions] = [join(folder, 'bundle.crt'), join(folder, 'anchors')];
    mkdirSync(additions);
    writeFileSync(bundle, 'every authority\n');
    writeFileSync(join(additions, 'own.crt'), 'our authority\n');
    const variables = { https_proxy: 'http://proxy.example.test:3128' };
    hostSettings = { variables, bundles: [bundle], additions: [additions] };
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const script =
    'echo "$SSL_CERT_FILE|$NODE_EXTRA_CA_CERTS|$https_proxy|$HTTPS_PROXY"; cat "$SSL_CERT_FILE" 2>/dev/null || true';

  it.each([
    [
      true,
      '/opt/atelier-host/ca-certificates.crt|/opt/atelier-host/ca-certificates.crt|http://proxy.example.test:3128|http://proxy.example.test:3128\nevery authority\nexit 0',
    ],
    [false, '|||\nexit 0'],
  ])('to an instance, when it inherits: %s', async (inheritsHost, expected) => {
    const subject = await makeSubject({ hostSettings, inheritsHost });
    const id = makeId(systemClock.nowMs(), systemRandom);
    const { disks, instances } = subject.driver;
    try {
      await disks.ensure(id);
      await disks.ensureGeneration(id, 1, subject.imageDigest);
      const { name } = await instances.start({
        name: `${id}-main-1`,
        environmentId: id,
        root: { kind: 'disk', generation: 1 },
        mounts: [],
        network: 'none',
        environment: {},
        hostname: 'heir',
        limits: {},
      });
      expect(await subject.inside(name, script)).toBe(expected);
      await instances.remove(name);
      await disks.remove(id);
      expect(await subject.leftovers()).toEqual([]);
    } finally {
      await subject.close();
    }
  });

  it.each([
    [
      true,
      '/dev/atelier-host/0/ca-certificates.crt|/dev/atelier-host/0/ca-certificates.crt|http://proxy.example.test:3128|http://proxy.example.test:3128\nevery authority\n',
    ],
    [false, '|||\n'],
  ])('to the steps of a build, when it inherits: %s', async (inheritsHost, expected) => {
    // Buildah itself asks through the proxy of this process in any case; its steps are not to get that.
    const place = await openPlace(
      { https_proxy: 'http://proxy.example.test:3128' },
      { hostSettings, inheritsHost },
    );
    try {
      const dockerfile = `FROM ${busyboxName}\nRUN (${script}) > /facts\n`;
      const image = await place.build(await place.environment({ Dockerfile: dockerfile }));
      expect((await fileOf(place, image, 'facts'))?.text).toBe(expected);
      expect(image.configuration.environment.join()).not.toContain('proxy');
      expect(await place.leftovers()).toEqual([]);
    } finally {
      await place.close();
    }
  });
});
