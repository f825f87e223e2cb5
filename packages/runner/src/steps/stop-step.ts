/** No instance is left. */
import { parseInstanceName } from '@atelier/api';
import type { StepFunction } from './step.ts';

// What the user started has had its time in the shutdown step.
const graceMs = 5_000;

/** Stops and removes the instance that the step is for, and gives its supervisor up. */
export const stopStep: StepFunction = async ({ parts, memory }, planned) => {
  const name = planned.session;
  await parts.driver.instances.stop(name, graceMs);
  await parts.driver.instances.remove(name);
  // A throw-away instance has pinned its image under its own name.
  if (parseInstanceName(name)?.part !== 'main') await parts.driver.images.unpin(name);
  if (memory.client?.instanceName === name) await memory.forgetClient();
  return {};
};
