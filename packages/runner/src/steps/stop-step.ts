/** No instance is left. */
import type { StepFunction } from './step.ts';

// What the user started has had its time in the shutdown step.
const graceMs = 5_000;

/** Stops and removes the instance that the step is for, and gives its supervisor up. */
export const stopStep: StepFunction = async ({ parts, memory }, planned) => {
  const name = planned.session;
  await parts.driver.instances.stop(name, graceMs);
  await parts.driver.instances.remove(name);
  if (memory.client?.instanceName === name) await memory.forgetClient();
  return {};
};
