/** What is not needed any more is gone. */
import type { ReleaseTarget } from '@atelier/reconcile';
import type { StepContext, StepFunction } from './step.ts';

/** Takes away what the plan names, in its order. What is gone already is success. */
export const releaseStep: StepFunction = async (context, planned) => {
  for (const target of planned.release) await release(context, target);
  return {};
};

async function release({ parts, environmentId }: StepContext, target: ReleaseTarget): Promise<void> {
  const { disks, networks, images } = parts.driver;
  switch (target.kind) {
    case 'network':
      return networks.remove(environmentId);
    case 'generation':
      return disks.removeGeneration(environmentId, target.generation);
    case 'disk':
      return disks.remove(environmentId);
    case 'pin':
      return images.unpin(environmentId);
  }
}
