/** What runs inside has ended, in order. */
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import type { StepFunction } from './step.ts';

// The supervisor kills at the end of its grace and then needs a moment to answer.
const answerMs = 10_000;

// What is deleted has nothing to save: a service need not be waited for as long as it would like.
const deletedGraceMs = 5_000;

/** Asks the supervisor to end everything; without a link there is nobody to ask. */
export const shutdownStep: StepFunction = async ({ parts, memory, desired }, planned, signal) => {
  const leftMs = Math.max(1000, planned.deadlineMs - parts.clock.nowMs() - answerMs);
  const isDeleted = desired.environment?.spec?.desiredPhase === EnvironmentPhase.DELETED;
  await memory.client?.shutDown(isDeleted ? Math.min(leftMs, deletedGraceMs) : leftMs, signal);
  return {};
};
