/** The disk exists. */
import { mainLimits } from '../limits.ts';
import type { StepFunction } from './step.ts';

/** Makes the disk with its empty workspace, unless it could never be used here with the limits of its class. */
export const diskStep: StepFunction = async ({ parts, environmentId, desired }) => {
  mainLimits(parts, desired);
  await parts.driver.disks.ensure(environmentId);
  return {};
};
