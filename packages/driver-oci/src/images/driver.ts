/** The images of this driver: containers/storage of its home, filled by buildah, read by us. */
import { AtelierError } from '@atelier/api';
import type { Image, ImageDriver, ImageRequest, Progress } from '@atelier/driver';
import { makeSerial } from '../host/serial.ts';
import { baseName, ensureBase } from './base.ts';
import { ensureBuild, type BuildOptions } from './build.ts';
import type { ConfinementSetting } from './confinement.ts';
import { findImage, inspectImage } from './layers.ts';
import { readPins, removePin, writePin } from './pins.ts';
import { pullImage } from './pull.ts';
import { parseReference } from './reference.ts';
import { makeSharedWork } from './shared-work.ts';
import { prepareBuildah, type Variables } from './storage.ts';

/** What the image driver is made of. */
export interface ImageDriverOptions extends ConfinementSetting {
  /** Variables of this process: proxies, certificates, where the user's credentials for registries are. */
  readonly host: Variables;
}

/** Opens the images of a home. Writes the storage's configuration; makes no image. */
export function createImageDriver(options: ImageDriverOptions): ImageDriver {
  const { home, clock, host } = options;
  const buildah = prepareBuildah(home, host);
  const shared = makeSharedWork<Image>(clock);

  const ensureReference = async (
    written: string,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<Image> => {
    const reference = parseReference(written);
    const present = await findImage(home, reference.name);
    if (present !== undefined) return present;
    if (reference.registry === 'localhost') {
      const message = `image ${written} is not on this machine, and localhost is no registry: build or import it first`;
      throw new AtelierError('not_found', message);
    }
    await pullImage(buildah, reference, progress, signal);
    const pulled = await findImage(home, reference.name);
    if (pulled === undefined)
      throw new AtelierError('internal', `${reference.name} was pulled and is not there`);
    return pulled;
  };

  const make = (request: ImageRequest, progress: Progress, signal: AbortSignal): Promise<Image> => {
    const key = JSON.stringify(request);
    return shared(key, progress, signal, async (tell, end) => {
      if (request.kind === 'base') return ensureBase({ home, buildah, host }, tell, end);
      if (request.kind === 'reference') return ensureReference(request.reference, tell, end);
      return ensureBuild(builds, request.build, tell, end);
    });
  };

  const builds: BuildOptions = {
    home,
    buildah,
    confinement: options,
    serial: makeSerial(),
    ensureImage: (reference, progress, signal) =>
      make(reference === baseName ? { kind: 'base' } : { kind: 'reference', reference }, progress, signal),
  };

  return {
    async ensure(request, progress, signal) {
      if (signal.aborted) throw new AtelierError('canceled', 'the image was not looked for: canceled');
      return make(request, progress, signal);
    },
    inspect: (digest) => inspectImage(home, digest),
    async pin(digest, owner) {
      if ((await inspectImage(home, digest)) === undefined) {
        throw new AtelierError(
          'not_found',
          `image ${digest} is not on this machine: ensure it before pinning it`,
        );
      }
      writePin(home, digest, owner);
    },
    async unpin(owner) {
      removePin(home, owner);
    },
    listPins: async () => readPins(home),
  };
}
