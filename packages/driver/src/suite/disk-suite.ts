import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Driver } from '../driver.ts';
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

/** Runs every rule of `disk.ts` against one driver. */
export function diskDriverSuite(name: string, factory: DriverFactory): void {
  describe(`disks of ${name}`, () => {
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

    const generations = async (environmentId: string): Promise<number[] | undefined> =>
      (await driver.disks.inspect(environmentId))?.generations.map((each) => each.generation);

    describe('a disk', () => {
      it('is not there before it was made', async () => {
        expect(await driver.disks.inspect(id)).toBeUndefined();
        expect(await driver.disks.list()).toEqual([]);
      });

      it('is made without a root layer and with an empty workspace', async () => {
        const made = await driver.disks.ensure(id);
        expect(made).toEqual({ environmentId: id, generations: [] });
        expect(await driver.disks.inspect(id)).toEqual(made);
        expect(await driver.disks.list()).toEqual([made]);
        expect(await subject.workspace.list(id)).toEqual([]);
      });

      it('is found by a second call, which changes nothing', async () => {
        await driver.disks.ensure(id);
        await driver.disks.ensureGeneration(id, 1, subject.imageDigest);
        await subject.workspace.write(id, 'kept.txt', 'kept');
        const again = await driver.disks.ensure(id);
        expect(again.generations).toEqual([{ generation: 1, imageDigest: subject.imageDigest }]);
        expect(await subject.workspace.list(id)).toEqual(['kept.txt']);
      });

      it('is made once by calls at the same time', async () => {
        await Promise.all([driver.disks.ensure(id), driver.disks.ensure(id), driver.disks.ensure(id)]);
        expect(await driver.disks.list()).toEqual([{ environmentId: id, generations: [] }]);
      });

      it('is found whole by a driver that was opened anew', async () => {
        const environmentId = await madeDisk(subject, driver);
        await subject.workspace.write(environmentId, 'kept.txt', 'kept');
        driver = await subject.reopen();
        const disk = {
          environmentId,
          generations: [{ generation: 1, imageDigest: subject.imageDigest }],
        };
        expect(await driver.disks.list()).toEqual([disk]);
        expect(await driver.disks.ensure(environmentId)).toEqual(disk);
        expect(await subject.workspace.list(environmentId)).toEqual(['kept.txt']);
      });

      it('takes no id that could be a path', async () => {
        await expectCode(driver.disks.ensure('../escape'), 'invalid_argument');
      });

      it('is removed with everything on it, and made anew empty', async () => {
        const environmentId = await madeDisk(subject, driver);
        await subject.workspace.write(environmentId, 'lost.txt', 'lost');
        await driver.disks.remove(environmentId);
        expect(await driver.disks.inspect(environmentId)).toBeUndefined();
        expect(await driver.disks.list()).toEqual([]);
        expect(await driver.disks.ensure(environmentId)).toEqual({ environmentId, generations: [] });
        expect(await subject.workspace.list(environmentId)).toEqual([]);
      });

      it('that is already gone, or never was, is removed with success', async () => {
        await driver.disks.ensure(id);
        await driver.disks.remove(id);
        await driver.disks.remove(id);
        await driver.disks.remove(freshId());
      });

      it('is not removed while an instance uses it, and is afterwards', async () => {
        const environmentId = await madeDisk(subject, driver);
        const { name: instance } = await driver.instances.start(mainStart(environmentId));
        await expectCode(driver.disks.remove(environmentId), 'failed_precondition');
        expect(await generations(environmentId)).toEqual([1]);
        await driver.instances.remove(instance);
        await driver.disks.remove(environmentId);
        expect(await driver.disks.list()).toEqual([]);
      });

      it('takes at least the bytes that were written to it', async () => {
        const environmentId = await madeDisk(subject, driver);
        await subject.workspace.write(environmentId, 'big.txt', 'x'.repeat(256 * 1024));
        expect(await driver.disks.usage(environmentId)).toBeGreaterThanOrEqual(256 * 1024);
      });
    });

    describe('a root layer', () => {
      it('is found by a second call with the same image', async () => {
        const environmentId = await madeDisk(subject, driver);
        const again = await driver.disks.ensureGeneration(environmentId, 1, subject.imageDigest);
        expect(again.generations).toEqual([{ generation: 1, imageDigest: subject.imageDigest }]);
      });

      it('is refused on another image under the same generation', async () => {
        const environmentId = await madeDisk(subject, driver);
        const other = driver.disks.ensureGeneration(environmentId, 1, subject.otherImageDigest);
        await expectCode(other, 'already_exists');
        const disk = await driver.disks.inspect(environmentId);
        expect(disk?.generations).toEqual([{ generation: 1, imageDigest: subject.imageDigest }]);
      });

      it('is refused on an image that is not here', async () => {
        await driver.disks.ensure(id);
        await expectCode(driver.disks.ensureGeneration(id, 1, absentDigest), 'not_found');
        expect(await generations(id)).toEqual([]);
      });

      it('is refused without a disk', async () => {
        await expectCode(driver.disks.ensureGeneration(id, 1, subject.imageDigest), 'not_found');
        expect(await driver.disks.list()).toEqual([]);
      });

      it('stands beside others, listed ascending by generation, 10 after 2', async () => {
        await driver.disks.ensure(id);
        await driver.disks.ensureGeneration(id, 10, subject.imageDigest);
        const disk = await driver.disks.ensureGeneration(id, 2, subject.otherImageDigest);
        expect(disk.generations).toEqual([
          { generation: 2, imageDigest: subject.otherImageDigest },
          { generation: 10, imageDigest: subject.imageDigest },
        ]);
        expect(await driver.disks.list()).toEqual([disk]);
      });

      it('is removed alone: workspace and other generations stay', async () => {
        const environmentId = await madeDisk(subject, driver);
        await driver.disks.ensureGeneration(environmentId, 2, subject.otherImageDigest);
        await subject.workspace.write(environmentId, 'kept.txt', 'kept');
        await driver.disks.removeGeneration(environmentId, 1);
        expect(await generations(environmentId)).toEqual([2]);
        expect(await subject.workspace.list(environmentId)).toEqual(['kept.txt']);
      });

      it('that is already gone, or whose disk is gone, is removed with success', async () => {
        const environmentId = await madeDisk(subject, driver);
        await driver.disks.removeGeneration(environmentId, 1);
        await driver.disks.removeGeneration(environmentId, 1);
        await driver.disks.removeGeneration(environmentId, 7);
        await driver.disks.removeGeneration(freshId(), 1);
      });

      it('may lie on another image after it was removed', async () => {
        const environmentId = await madeDisk(subject, driver);
        await driver.disks.removeGeneration(environmentId, 1);
        await driver.disks.ensureGeneration(environmentId, 1, subject.otherImageDigest);
        const disk = await driver.disks.inspect(environmentId);
        expect(disk?.generations).toEqual([{ generation: 1, imageDigest: subject.otherImageDigest }]);
      });

      it('is not removed while an instance uses it; one that is not in use is', async () => {
        const environmentId = await madeDisk(subject, driver);
        await driver.disks.ensureGeneration(environmentId, 2, subject.imageDigest);
        const { name: instance } = await driver.instances.start(mainStart(environmentId));
        await expectCode(driver.disks.removeGeneration(environmentId, 1), 'failed_precondition');
        await driver.disks.removeGeneration(environmentId, 2);
        expect(await generations(environmentId)).toEqual([1]);
        await driver.instances.remove(instance);
        await driver.disks.removeGeneration(environmentId, 1);
        expect(await generations(environmentId)).toEqual([]);
      });
    });

    describe('a workspace', () => {
      it('is emptied, folders and hidden files too; root layers stay', async () => {
        const environmentId = await madeDisk(subject, driver);
        await subject.workspace.write(environmentId, 'deep/er/file.txt', 'x');
        await subject.workspace.write(environmentId, '.hidden', 'x');
        await driver.disks.clearWorkspace(environmentId);
        expect(await subject.workspace.list(environmentId)).toEqual([]);
        expect(await generations(environmentId)).toEqual([1]);
      });

      it('that is empty is emptied with success', async () => {
        await driver.disks.ensure(id);
        await driver.disks.clearWorkspace(id);
        await driver.disks.clearWorkspace(id);
        expect(await driver.disks.inspect(id)).toEqual({ environmentId: id, generations: [] });
      });

      it('takes files after it was emptied', async () => {
        await driver.disks.ensure(id);
        await driver.disks.clearWorkspace(id);
        await subject.workspace.write(id, 'new.txt', 'new');
        expect(await subject.workspace.list(id)).toEqual(['new.txt']);
      });

      it('is not emptied while an instance uses the disk', async () => {
        const environmentId = await madeDisk(subject, driver);
        await subject.workspace.write(environmentId, 'kept.txt', 'kept');
        const { name: instance } = await driver.instances.start(mainStart(environmentId));
        await expectCode(driver.disks.clearWorkspace(environmentId), 'failed_precondition');
        expect(await subject.workspace.list(environmentId)).toEqual(['kept.txt']);
        await driver.instances.remove(instance);
        await driver.disks.clearWorkspace(environmentId);
      });

      it('is not emptied while a throw-away instance mounts it', async () => {
        const environmentId = await madeDisk(subject, driver);
        const throwaway = mainStart(environmentId, {
          name: `${environmentId}-content-1`,
          root: { kind: 'image', digest: subject.imageDigest },
        });
        await driver.instances.start(throwaway);
        await expectCode(driver.disks.clearWorkspace(environmentId), 'failed_precondition');
        await driver.instances.remove(throwaway.name);
        await driver.disks.clearWorkspace(environmentId);
      });

      it('outlives stop and start', async () => {
        const environmentId = await madeDisk(subject, driver);
        await subject.workspace.write(environmentId, 'kept.txt', 'kept');
        const { name: instance } = await driver.instances.start(mainStart(environmentId));
        await driver.instances.stop(instance, 2000);
        await driver.instances.start(mainStart(environmentId));
        await driver.instances.remove(instance);
        expect(await subject.workspace.list(environmentId)).toEqual(['kept.txt']);
        expect(await generations(environmentId)).toEqual([1]);
      });
    });
  });
}
