/** The disk exists. */
import type { StepFunction } from './step.ts';

/** Makes the disk with its empty workspace. */
export const diskStep: StepFunction = async ({ parts, environmentId }) => {
  await parts.driver.disks.ensure(environmentId);
  return {};
};
