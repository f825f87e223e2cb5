/** The network attachment exists. */
import type { StepFunction } from './step.ts';

/** Makes the attachment, or gives it the present policy. */
export const networkStep: StepFunction = async ({ parts, environmentId }) => {
  await parts.driver.networks.ensure(environmentId, parts.settings.networkPolicy);
  return {};
};
