/** The image is here and pinned. */
import { planImage, substitute } from '@atelier/devcontainer';
import type { ImageRequest } from '@atelier/driver';
import { readConfiguration } from '../configuration.ts';
import { repositoryFolder } from '../content/source.ts';
import { isLocalRunner, placeBySpec } from '../environment.ts';
import { substitutionOf } from '../substitution.ts';
import type { StepContext, StepFunction } from './step.ts';

/**
 * Pulls, builds or finds the image that the configuration asks for, and pins it; in recovery that is the base
 * image. What the builder says goes into the log `step/image`.
 */
export const imageStep: StepFunction = async (context, planned, signal) => {
  const { parts, environmentId, progress } = context;
  const request: ImageRequest = planned.recovery
    ? { kind: 'base' }
    : await requestOf(context, planned.session);
  const say = (message: string): void => {
    progress(message);
    void parts.logs.line(environmentId, 'step/image', message).catch(() => undefined);
  };
  const image = await parts.driver.images.ensure(request, say, signal);
  await parts.driver.images.pin(image.digest, environmentId);
  return { imageDigest: image.digest };
};

async function requestOf(
  { parts, environmentId, desired }: StepContext,
  session: string,
): Promise<ImageRequest> {
  const read = await readConfiguration(parts.records, environmentId, session);
  if (read === undefined) return { kind: 'base' };
  const place = read.place ?? placeBySpec(desired, isLocalRunner(parts.ledger));
  const { configuration } = substitute(read.configuration, substitutionOf(environmentId, place));
  const plan = planImage(configuration, read.path, repositoryFolder(place));
  switch (plan.kind) {
    case 'default': {
      const reference = desired.environment?.spec?.devcontainer?.defaultDevcontainerImage ?? '';
      return reference === '' ? { kind: 'base' } : { kind: 'reference', reference };
    }
    case 'reference':
      return { kind: 'reference', reference: plan.reference };
    case 'build':
      return {
        kind: 'build',
        build: {
          environmentId,
          contextPath: plan.contextPath,
          dockerfilePath: plan.dockerfilePath,
          target: plan.target === '' ? undefined : plan.target,
          buildArguments: plan.args,
        },
      };
  }
}
