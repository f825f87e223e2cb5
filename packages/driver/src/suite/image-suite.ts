import { afterAll, afterEach, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import type { Driver } from '../driver.ts';
import type { Image, ImageBuild, ImageRequest } from '../image.ts';
import {
  absentDigest,
  expectCode,
  freshId,
  removeEverything,
  type DriverFactory,
  type DriverSubject,
} from './subject.ts';

const silent = (): void => {};

/** Runs every rule of `image.ts` against one driver. */
export function imageDriverSuite(name: string, factory: DriverFactory): void {
  describe(`images of ${name}`, () => {
    let subject: DriverSubject;
    let driver: Driver;

    beforeAll(async () => {
      subject = await factory();
      driver = subject.driver;
    });
    afterEach(async () => {
      await removeEverything(driver);
      expect(await subject.leftovers()).toEqual([]);
    });
    afterAll(() => subject.close());

    const ensure = (request: ImageRequest, signal = new AbortController().signal): Promise<Image> =>
      driver.images.ensure(request, silent, signal);
    const ensureReference = (reference: string): Promise<Image> => ensure({ kind: 'reference', reference });

    describe('a reference', () => {
      it('to an image that is here resolves to its digest', async () => {
        const image = await ensureReference(subject.imageReference);
        expect(image.digest).toBe(subject.imageDigest);
        expect(image.sizeBytes).toBeGreaterThan(0);
        expect(await driver.images.inspect(image.digest)).toEqual(image);
      });

      it('is resolved again to the same image, also by calls at the same time', async () => {
        const first = await ensureReference(subject.imageReference);
        const more = [1, 2, 3].map(() => ensureReference(subject.imageReference));
        expect(await Promise.all(more)).toEqual([first, first, first]);
      });

      it('to localhost that is not here is not pulled, and the error names it', async () => {
        const reference = 'localhost/atelier/suite-absent:none';
        await expectCode(ensureReference(reference), 'not_found');
        await expect(ensureReference(reference)).rejects.toThrow(reference);
      });

      it('that is none is an invalid argument', async () => {
        await expectCode(ensureReference('Not A Reference!'), 'invalid_argument');
      });

      it('is not resolved for a caller that has given up', async () => {
        const request: ImageRequest = { kind: 'reference', reference: 'localhost/atelier/suite-absent:none' };
        await expectCode(ensure(request, AbortSignal.abort()), 'canceled');
      });
    });

    describe('a digest', () => {
      it('of an image that is not here is undefined', async () => {
        expect(await driver.images.inspect(absentDigest)).toBeUndefined();
      });

      it('of each given image is found by a driver that was opened anew', async () => {
        driver = await subject.reopen();
        for (const digest of [subject.imageDigest, subject.otherImageDigest]) {
          expect((await driver.images.inspect(digest))?.digest).toBe(digest);
        }
      });
    });

    describe('a pin', () => {
      it('is listed by its owner, once, however often it is set', async () => {
        const owner = freshId();
        await driver.images.pin(subject.imageDigest, owner);
        await driver.images.pin(subject.imageDigest, owner);
        expect([...(await driver.images.listPins())]).toEqual([[owner, subject.imageDigest]]);
      });

      it('of one owner replaces the one before', async () => {
        const owner = freshId();
        await driver.images.pin(subject.imageDigest, owner);
        await driver.images.pin(subject.otherImageDigest, owner);
        expect([...(await driver.images.listPins())]).toEqual([[owner, subject.otherImageDigest]]);
      });

      it('of one owner is independent of another on the same image', async () => {
        const [first, second] = [freshId(), 'lease-of-the-suite'];
        await driver.images.pin(subject.imageDigest, first);
        await driver.images.pin(subject.imageDigest, second);
        await driver.images.unpin(first);
        expect([...(await driver.images.listPins())]).toEqual([[second, subject.imageDigest]]);
      });

      it('that is already gone, or never was, ends with success', async () => {
        const owner = freshId();
        await driver.images.pin(subject.imageDigest, owner);
        await driver.images.unpin(owner);
        await driver.images.unpin(owner);
        await driver.images.unpin(freshId());
        expect((await driver.images.listPins()).size).toBe(0);
      });

      it('is found by a driver that was opened anew', async () => {
        const owner = freshId();
        await driver.images.pin(subject.imageDigest, owner);
        driver = await subject.reopen();
        expect([...(await driver.images.listPins())]).toEqual([[owner, subject.imageDigest]]);
      });
    });

    describe('a build', () => {
      const planted = async (
        skip: TestContext['skip'],
        dockerfile: string,
        different: Partial<ImageBuild> = {},
      ): Promise<ImageRequest> => {
        const { capabilities } = await driver.probe();
        skip(!capabilities.imageBuild, 'this driver cannot build images here');
        const environmentId = freshId();
        await driver.disks.ensure(environmentId);
        await subject.workspace.write(environmentId, 'Dockerfile', dockerfile);
        await subject.workspace.write(environmentId, 'file.txt', 'content');
        return {
          kind: 'build',
          build: {
            environmentId,
            contextPath: '.',
            dockerfilePath: 'Dockerfile',
            buildArguments: {},
            ...different,
          },
        };
      };

      it('makes an image with what its Dockerfile says, and answers again from its cache', async ({
        skip,
      }) => {
        const request = await planted(skip, `FROM ${subject.imageReference}\nLABEL suite=one\n`);
        const built = await ensure(request);
        expect(built.configuration.labels).toMatchObject({ suite: 'one' });
        expect(await driver.images.inspect(built.digest)).toEqual(built);
        expect(await ensure(request)).toEqual(built);
      });

      it('is made once by calls at the same time', async ({ skip }) => {
        const request = await planted(skip, `FROM ${subject.imageReference}\nLABEL suite=two\n`);
        const [first, second] = await Promise.all([ensure(request), ensure(request)]);
        expect(first).toEqual(second);
      });

      it('that fails says so with the end of its output', async ({ skip }) => {
        const request = await planted(skip, `FROM ${subject.imageReference}\nCOPY absent.txt /absent.txt\n`);
        await expectCode(ensure(request), 'failed_precondition');
        await expect(ensure(request)).rejects.toThrow('absent.txt');
      });

      it('never leaves the workspace by dots', async ({ skip }) => {
        const request = await planted(skip, `FROM ${subject.imageReference}\n`, { contextPath: '../..' });
        await expectCode(ensure(request), 'invalid_argument');
      });

      it('is not begun for a caller that has given up', async ({ skip }) => {
        const request = await planted(skip, `FROM ${subject.imageReference}\nLABEL suite=three\n`);
        await expectCode(ensure(request, AbortSignal.abort()), 'canceled');
      });
    });
  });
}
