/** The life-cycle commands that have to be waited for have ended. */
import { loadInside } from '../environment.ts';
import { lifecycleFacts } from '../inside.ts';
import { throwIfAborted, type StepFunction } from './step.ts';

/** Waits for the supervisor's report; the plan draws the conclusions from it. */
export const lifecycleStep: StepFunction = async (context, _planned, signal) => {
  const { parts, memory, desired, record, progress } = context;
  const digest = record.rootDigest;
  const image = digest === undefined ? undefined : await parts.driver.images.inspect(digest);
  const { inside } = await loadInside(parts, desired, record, image?.configuration);
  await memory.until(() => {
    const status = memory.client?.view()?.status;
    const running = status?.lifecycle.find(({ startedAt, took }) => startedAt && !took);
    if (running !== undefined) progress(`${running.name} runs`);
    return status !== undefined && lifecycleFacts(inside, record, status).lifecycle !== 'running';
  }, signal);
  throwIfAborted(signal);
  return {};
};
