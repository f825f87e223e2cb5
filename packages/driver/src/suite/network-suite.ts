import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Driver } from '../driver.ts';
import type { NetworkPolicy } from '../network.ts';
import {
  expectCode,
  freshId,
  madeDisk,
  mainStart,
  removeEverything,
  type DriverFactory,
  type DriverSubject,
} from './subject.ts';

const internet: NetworkPolicy = { egress: 'internet', privateRanges: false };
const nothing: NetworkPolicy = { egress: 'none', privateRanges: false };
const office: NetworkPolicy = { egress: 'internet', privateRanges: true };

/** Runs every rule of `network.ts` against one driver. */
export function networkDriverSuite(name: string, factory: DriverFactory): void {
  describe(`networks of ${name}`, () => {
    let subject: DriverSubject;
    let driver: Driver;
    let id: string;

    beforeAll(async () => {
      subject = await factory();
      driver = subject.driver;
    });
    beforeEach(() => {
      id = freshId();
    });
    afterEach(async () => {
      await removeEverything(driver);
      expect(await subject.leftovers()).toEqual([]);
    });
    afterAll(() => subject.close());

    it('are none before one was made', async () => {
      expect(await driver.networks.list()).toEqual([]);
    });

    it('have an IPv4 address and the policy that was asked for', async () => {
      const made = await driver.networks.ensure(id, internet);
      expect(made).toEqual({ environmentId: id, address: made.address, policy: internet });
      expect(made.address).toMatch(/^\d{1,3}(\.\d{1,3}){3}$/);
      expect(await driver.networks.list()).toEqual([made]);
    });

    it('are found by a second call with the same address', async () => {
      const made = await driver.networks.ensure(id, internet);
      expect(await driver.networks.ensure(id, internet)).toEqual(made);
      expect(await driver.networks.list()).toEqual([made]);
    });

    it('are made once by calls at the same time', async () => {
      const calls = [internet, internet, internet].map((policy) => driver.networks.ensure(id, policy));
      const addresses = (await Promise.all(calls)).map((each) => each.address);
      expect(new Set(addresses).size).toBe(1);
      expect(await driver.networks.list()).toHaveLength(1);
    });

    for (const policy of [nothing, office]) {
      const words = `egress ${policy.egress}, private ranges ${policy.privateRanges}`;
      it(`change their policy in place: ${words}`, async () => {
        const made = await driver.networks.ensure(id, internet);
        const changed = { ...made, policy };
        expect(await driver.networks.ensure(id, policy)).toEqual(changed);
        expect(await driver.networks.list()).toEqual([changed]);
      });
    }

    it('never share an address, made at the same time either', async () => {
      const ids = [id, freshId(), freshId()];
      const made = await Promise.all(ids.map((each) => driver.networks.ensure(each, internet)));
      expect(new Set(made.map((each) => each.address)).size).toBe(3);
      expect((await driver.networks.list()).map((each) => each.environmentId).toSorted()).toEqual(
        ids.toSorted(),
      );
    });

    it('are found by a driver that was opened anew', async () => {
      const made = await driver.networks.ensure(id, office);
      driver = await subject.reopen();
      expect(await driver.networks.list()).toEqual([made]);
      expect(await driver.networks.ensure(id, office)).toEqual(made);
    });

    it('do not give an address that is in use to another environment after a re-open', async () => {
      const made = await driver.networks.ensure(id, internet);
      driver = await subject.reopen();
      expect((await driver.networks.ensure(freshId(), internet)).address).not.toBe(made.address);
    });

    it('are removed alone, and that again is success', async () => {
      const other = await driver.networks.ensure(freshId(), internet);
      await driver.networks.ensure(id, internet);
      await driver.networks.remove(id);
      expect(await driver.networks.list()).toEqual([other]);
      await driver.networks.remove(id);
      await driver.networks.remove(freshId());
      expect(await driver.networks.list()).toEqual([other]);
    });

    it('are made anew after they were removed', async () => {
      await driver.networks.ensure(id, internet);
      await driver.networks.remove(id);
      const anew = await driver.networks.ensure(id, nothing);
      expect(anew.policy).toEqual(nothing);
      expect(await driver.networks.list()).toEqual([anew]);
    });

    it('are removed under a running instance, which goes on', async () => {
      const environmentId = await madeDisk(subject, driver);
      await driver.networks.ensure(environmentId, internet);
      const started = await driver.instances.start(mainStart(environmentId, { network: 'attached' }));
      await driver.networks.remove(environmentId);
      expect(await driver.networks.list()).toEqual([]);
      expect(await driver.instances.inspect(started.name)).toEqual(started);
    });

    it('outlive an instance that used them, and serve its next run', async () => {
      const environmentId = await madeDisk(subject, driver);
      const made = await driver.networks.ensure(environmentId, internet);
      const start = mainStart(environmentId, { network: 'attached' });
      await driver.instances.start(start);
      await driver.instances.remove(start.name);
      expect(await driver.networks.ensure(environmentId, internet)).toEqual(made);
      expect((await driver.instances.start(start)).state).toBe('running');
    });

    it('take no id that could be a path', async () => {
      await expectCode(driver.networks.ensure('../escape', internet), 'invalid_argument');
    });
  });
}
