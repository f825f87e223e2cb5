/** What the plans of a run decided, counted, so that one can see which of their ways were never gone. */
import { stepNames, type EnvironmentDesired, type EnvironmentPlan } from '@atelier/reconcile';

const standings = {
  machine: ['creating', 'starting', 'running', 'stopping', 'stopped', 'deleting', 'deleted'],
  content: ['none', 'initializing', 'ready', 'updating', 'failed'],
  devcontainer: ['none', 'creating', 'running', 'stopped', 'failed'],
} as const;

const recordChanges = [
  'boot',
  'launchedBoot',
  'ready',
  'falls',
  'recovery',
  'failure',
  'goal',
  'contentSession',
];

/** Every state of a plan that is counted. */
export const planStates: readonly string[] = [
  ...stepNames.map((step) => `step ${step}`),
  ...stepNames.map((step) => `again ${step}`),
  ...['image', 'root'].map((step) => `recovery ${step}`),
  ...['network', 'generation', 'disk', 'pin'].map((kind) => `release ${kind}`),
  ...recordChanges.map((key) => `record ${key}`),
  ...Object.entries(standings).flatMap(([part, values]) => values.map((value) => `${part} ${value}`)),
  'way failed',
  'way idle',
  'settled',
];

/** Counts of what plans decided, over all environments of a run. */
export class PlanCounts {
  /** How often each state was met. */
  readonly counts: Record<string, number> = Object.fromEntries(planStates.map((state) => [state, 0]));

  /** Counts what one plan decided. */
  add(desired: EnvironmentDesired, plan: EnvironmentPlan): void {
    for (const { step, attempt, recovery, release } of plan.steps) {
      this.#count(`step ${step}`);
      if (attempt > 1) this.#count(`again ${step}`);
      if (recovery) this.#count(`recovery ${step}`);
      for (const { kind } of release) this.#count(`release ${kind}`);
    }
    for (const [key, value] of Object.entries(plan.recordChange)) {
      if (value !== undefined) this.#count(`record ${key}`);
    }
    for (const part of ['machine', 'content', 'devcontainer'] as const) this.#count(`${part} ${plan[part]}`);
    if (plan.settled) this.#count('settled');
    const isBack = plan.machine === 'stopping' || plan.machine === 'stopped';
    if (desired.phase === 'running' && plan.failureMessage !== '') this.#count('way failed');
    else if (desired.phase === 'running' && isBack && plan.devcontainer === 'stopped')
      this.#count('way idle');
  }

  #count(state: string): void {
    const before = this.counts[state];
    if (before !== undefined) this.counts[state] = before + 1;
  }
}
