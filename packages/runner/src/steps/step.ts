/** What every step gets and gives. */
import type { DesiredEnvironment } from '@atelier/api/atelier/runner_link';
import { AtelierError } from '@atelier/api';
import { EnvironmentSpecSchema, type EnvironmentSpec } from '@atelier/api/gitpod/environment';
import type { EnvironmentRecord, PlannedStep, StepResult } from '@atelier/reconcile';
import { create } from '@bufbuild/protobuf';
import type { EnvironmentMemory, RunnerParts } from '../environment.ts';

/** The environment as it was when the step began. */
export interface StepContext {
  readonly parts: RunnerParts;
  readonly memory: EnvironmentMemory;
  readonly environmentId: string;
  readonly desired: DesiredEnvironment;
  readonly record: EnvironmentRecord;
  /** Says what goes on, for the person who waits. */
  readonly progress: (message: string) => void;
}

/**
 * One step: idempotent, ended early by the signal, and without a decision of its own. What it throws is
 * written down; a code that is not retryable ends the attempts.
 */
export type StepFunction = (
  context: StepContext,
  planned: PlannedStep,
  signal: AbortSignal,
) => Promise<StepResult>;

/** The spec of the environment. */
export function specOf({ desired }: StepContext): EnvironmentSpec {
  return desired.environment?.spec ?? create(EnvironmentSpecSchema);
}

/** Throws the reason of an abort: after a wait that an abort ends without an error. */
export function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw signal.reason instanceof AtelierError
    ? signal.reason
    : new AtelierError('canceled', 'The step was ended by the runner.');
}
