/** What runs inside has ended, in order. */
import type { StepFunction } from './step.ts';

// The supervisor kills at the end of its grace and then needs a moment to answer.
const answerMs = 10_000;

/** Asks the supervisor to end everything before the step's deadline; without a link there is nobody to ask. */
export const shutdownStep: StepFunction = async ({ parts, memory }, planned, signal) => {
  const graceMs = Math.max(1000, planned.deadlineMs - parts.clock.nowMs() - answerMs);
  await memory.client?.shutDown(graceMs, signal);
  return {};
};
