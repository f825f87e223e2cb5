/** The supervisor's link is up and it has the desired state. */
import { loadInside } from '../environment.ts';
import { supervisorSpecOf } from '../inside.ts';
import { throwIfAborted, type StepFunction } from './step.ts';

/** Waits for the link, gives the supervisor its desired state and waits until it answers for it. */
export const supervisorStep: StepFunction = async (context, planned, signal) => {
  const { parts, memory, desired, record, progress } = context;
  progress('waiting for the supervisor');
  await memory.until(() => memory.client?.view()?.boot === planned.session, signal);
  throwIfAborted(signal);
  const { client } = memory;
  const digest = record.rootDigest;
  const image = digest === undefined ? undefined : await parts.driver.images.inspect(digest);
  const { inside } = await loadInside(parts, desired, record, image?.configuration);
  const spec = supervisorSpecOf(desired, inside, record);
  await client?.apply(spec, signal);
  await memory.until(() => memory.client !== client || client?.isApplied(spec) !== false, signal);
  throwIfAborted(signal);
  return {};
};
