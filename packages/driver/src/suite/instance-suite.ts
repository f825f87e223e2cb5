import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Driver } from '../driver.ts';
import { linkCases } from './link-cases.ts';
import {
  absentDigest,
  expectCode,
  freshId,
  madeDisk,
  mainStart,
  removeEverything,
  type DriverFactory,
  type DriverSubject,
} from './subject.ts';

const graceMs = 5000;

/** Runs every rule of `instance.ts` against one driver. */
export function instanceDriverSuite(name: string, factory: DriverFactory): void {
  describe(`instances of ${name}`, () => {
    let subject: DriverSubject;
    let driver: Driver;
    let id: string;
    let main: string;

    beforeAll(async () => {
      subject = await factory();
      driver = subject.driver;
    });
    beforeEach(async () => {
      id = await madeDisk(subject, driver);
      main = mainStart(id).name;
    });
    afterEach(async () => {
      await removeEverything(driver);
      expect(await subject.leftovers()).toEqual([]);
    });
    afterAll(() => subject.close());

    it('can run here at all, and the probe says so without leaving anything', async () => {
      expect((await driver.probe()).problems).toEqual([]);
      expect(await driver.instances.list()).toEqual([]);
    });

    describe('start', () => {
      it('gives a running process that list and inspect show', async () => {
        const started = await driver.instances.start(mainStart(id));
        expect(started).toMatchObject({ name: main, state: 'running' });
        expect(started.process?.pid).toBeGreaterThan(1);
        expect(started.process?.startTime).not.toBe('');
        expect(await driver.instances.inspect(main)).toEqual(started);
        expect(await driver.instances.list()).toEqual([started]);
      });

      it('a second time finds the same process', async () => {
        const started = await driver.instances.start(mainStart(id));
        expect(await driver.instances.start(mainStart(id))).toEqual(started);
        expect(await driver.instances.list()).toEqual([started]);
      });

      it('at the same time twice gives one process', async () => {
        const calls = [driver.instances.start(mainStart(id)), driver.instances.start(mainStart(id))];
        const [first, second] = await Promise.all(calls);
        expect(first).toEqual(second);
        expect(await driver.instances.list()).toEqual([first]);
      });

      it('is refused without a disk', async () => {
        await expectCode(driver.instances.start(mainStart(freshId())), 'not_found');
        expect(await driver.instances.list()).toEqual([]);
      });

      it('is refused without the generation', async () => {
        const start = mainStart(id, { name: `${id}-main-9`, root: { kind: 'disk', generation: 9 } });
        await expectCode(driver.instances.start(start), 'not_found');
        expect(await driver.instances.list()).toEqual([]);
      });

      it('is refused on an image that is not here', async () => {
        const start = mainStart(id, { root: { kind: 'image', digest: absentDigest } });
        await expectCode(driver.instances.start(start), 'not_found');
        expect(await driver.instances.list()).toEqual([]);
      });

      it('of a throw-away instance on an image leaves the main one alone', async () => {
        const started = await driver.instances.start(mainStart(id));
        const throwaway = mainStart(id, {
          name: `${id}-content-1`,
          root: { kind: 'image', digest: subject.otherImageDigest },
        });
        expect((await driver.instances.start(throwaway)).state).toBe('running');
        expect(await driver.instances.list()).toHaveLength(2);
        await driver.instances.remove(throwaway.name);
        expect(await driver.instances.list()).toEqual([started]);
      });
    });

    describe('stop', () => {
      it('ends an instance, which is listed as ended until it is removed', async () => {
        await driver.instances.start(mainStart(id));
        await driver.instances.stop(main, graceMs);
        const ended = await driver.instances.inspect(main);
        expect(ended).toMatchObject({ name: main, state: 'ended' });
        expect(ended?.end).toBeDefined();
        expect(ended?.process).toBeUndefined();
        expect(await driver.instances.list()).toEqual([ended]);
      });

      it('without grace ends it too', async () => {
        await driver.instances.start(mainStart(id));
        await driver.instances.stop(main, 0);
        expect((await driver.instances.inspect(main))?.state).toBe('ended');
      });

      it('of one that has ended, was removed or never was is success', async () => {
        await driver.instances.start(mainStart(id));
        await driver.instances.stop(main, graceMs);
        await driver.instances.stop(main, graceMs);
        await driver.instances.remove(main);
        await driver.instances.stop(main, graceMs);
        await driver.instances.stop(`${freshId()}-main-1`, graceMs);
      });

      it('ends only the instance that is named', async () => {
        const other = await madeDisk(subject, driver);
        const running = await driver.instances.start(mainStart(other));
        await driver.instances.start(mainStart(id));
        await driver.instances.stop(main, graceMs);
        expect(await driver.instances.inspect(running.name)).toEqual(running);
      });
    });

    describe('remove', () => {
      it('takes a running instance away; its disk and network stay', async () => {
        await driver.networks.ensure(id, { egress: 'none', privateRanges: false });
        await driver.instances.start(mainStart(id, { network: 'attached' }));
        await driver.instances.remove(main);
        expect(await driver.instances.inspect(main)).toBeUndefined();
        expect(await driver.instances.list()).toEqual([]);
        expect(await driver.disks.list()).toHaveLength(1);
        expect(await driver.networks.list()).toHaveLength(1);
      });

      it('takes an ended instance away', async () => {
        await driver.instances.start(mainStart(id));
        await driver.instances.stop(main, graceMs);
        await driver.instances.remove(main);
        expect(await driver.instances.list()).toEqual([]);
      });

      it('of one that is gone or never was is success', async () => {
        await driver.instances.start(mainStart(id));
        await driver.instances.remove(main);
        await driver.instances.remove(main);
        await driver.instances.remove(`${freshId()}-content-1`);
      });
    });

    describe('an ended instance', () => {
      it('is started anew under its name, as another process', async () => {
        const first = await driver.instances.start(mainStart(id));
        await driver.instances.stop(main, graceMs);
        const second = await driver.instances.start(mainStart(id));
        expect(second.state).toBe('running');
        expect(second.process).not.toEqual(first.process);
        expect(await driver.instances.list()).toEqual([second]);
      });

      it('that was killed from outside is seen, with its end', async () => {
        await driver.instances.start(mainStart(id));
        await subject.kill(main);
        const ended = await driver.instances.inspect(main);
        expect(ended?.state).toBe('ended');
        expect(['killed', 'unknown']).toContain(ended?.end);
      });

      it('that was killed from outside is started anew', async () => {
        await driver.instances.start(mainStart(id));
        await subject.kill(main);
        expect((await driver.instances.start(mainStart(id))).state).toBe('running');
      });

      it('has no counters, like one that never was', async () => {
        await driver.instances.start(mainStart(id));
        await driver.instances.stop(main, graceMs);
        expect(await driver.instances.usage(main)).toBeUndefined();
        expect(await driver.instances.usage(`${freshId()}-main-1`)).toBeUndefined();
      });
    });

    it('that run have counters', async () => {
      await driver.instances.start(mainStart(id));
      const usage = await driver.instances.usage(main);
      expect(usage?.cpuUsageMs).toBeGreaterThanOrEqual(0);
      expect(usage?.memoryBytes).toBeGreaterThan(0);
      expect(usage?.processes).toBeGreaterThanOrEqual(1);
    });

    it('that never were are undefined', async () => {
      expect(await driver.instances.inspect(`${freshId()}-main-1`)).toBeUndefined();
    });

    describe('a driver that was opened anew', () => {
      it('finds the same running process, and start leaves it as it is', async () => {
        const started = await driver.instances.start(mainStart(id));
        driver = await subject.reopen();
        expect(await driver.instances.list()).toEqual([started]);
        expect(await driver.instances.start(mainStart(id))).toEqual(started);
      });

      it('finds what ended meanwhile as ended', async () => {
        await driver.instances.start(mainStart(id));
        await subject.kill(main);
        driver = await subject.reopen();
        expect((await driver.instances.inspect(main))?.state).toBe('ended');
      });

      it('stops and removes what the one before it started', async () => {
        await driver.instances.start(mainStart(id));
        driver = await subject.reopen();
        await driver.instances.stop(main, graceMs);
        await driver.instances.remove(main);
        expect(await driver.instances.list()).toEqual([]);
      });

      it('still sees that a disk is in use', async () => {
        await driver.instances.start(mainStart(id));
        driver = await subject.reopen();
        await expectCode(driver.disks.remove(id), 'failed_precondition');
      });
    });

    linkCases({
      subject: () => subject,
      driver: () => driver,
      reopen: async () => {
        driver = await subject.reopen();
      },
      environmentId: () => id,
    });
  });
}
