/** A root layer lies on the environment's image. */
import { AtelierError } from '@atelier/api';
import type { StepFunction } from './step.ts';

/** Makes the root layer of the planned generation on the image that was resolved. */
export const rootStep: StepFunction = async ({ parts, environmentId, record }, planned) => {
  if (record.imageDigest === undefined || planned.generation === undefined) {
    throw new AtelierError('internal', `The root layer of ${environmentId} was planned without its image.`);
  }
  await parts.driver.disks.ensureGeneration(environmentId, planned.generation, record.imageDigest);
  return {};
};
