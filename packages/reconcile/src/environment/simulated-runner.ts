/**
 * The least runner that carries plans out on a {@link SimulatedMachine}: one pass at a time, steps that take
 * as long as the test says, and every way in which a real one fails in between. For tests of the plan.
 */
import { toAtelierError } from '@atelier/api';
import { lintPlan } from '../lint.ts';
import { defaultDeadlines } from './deadlines.ts';
import type { EnvironmentDesired, EnvironmentPlan, EnvironmentRecord, PlannedStep } from './model.ts';
import { planEnvironment } from './plan.ts';
import { applyChange, emptyRecord, recordFailure, recordSuccess } from './record.ts';
import { SimulatedMachine } from './simulated-machine.ts';
import { statusOf } from './status.ts';

/** A step under way, or one that was aborted and has not noticed yet. */
export interface RunningStep {
  readonly planned: PlannedStep;
  readonly startedAtMs: number;
  aborted: boolean;
}

/** How the end of a step goes wrong. `lost`: the work was done, and the process died before it was written down. */
export type StepEnd = 'succeeds' | 'fails' | 'fails for good' | 'lost';

/** One environment on one machine, with the plan under test. */
export class SimulatedRunner {
  readonly machine = new SimulatedMachine();
  desired: EnvironmentDesired;
  record: EnvironmentRecord;
  nowMs: number;
  running: RunningStep[] = [];
  plan: EnvironmentPlan | undefined;
  /** What oracles and linter found. */
  readonly findings: string[] = [];
  readonly #plan: typeof planEnvironment;

  constructor(desired: EnvironmentDesired, nowMs: number, plan = planEnvironment) {
    this.desired = desired;
    this.nowMs = nowMs;
    this.record = emptyRecord(nowMs);
    this.#plan = plan;
  }

  /** One pass: observe, plan, lint, write the record, abort what is not planned any more, start the rest. */
  pass(): EnvironmentPlan {
    const attempts = this.running.map(({ planned, startedAtMs }) => ({
      step: planned.step,
      session: planned.session,
      startedAtMs,
    }));
    const observed = this.machine.observe(this.record, attempts);
    const plan = this.#plan(this.desired, observed, defaultDeadlines, this.nowMs);
    for (const finding of lintPlan(this.desired, observed, plan, this.nowMs)) this.findings.push(finding);
    statusOf(this.desired, observed, plan);
    this.record = applyChange(this.record, plan.recordChange);
    for (const step of this.running) {
      step.aborted ||= !plan.steps.some((planned) => isSame(planned, step.planned));
    }
    for (const planned of plan.steps) {
      const busy = this.running.some((step) => step.planned.step === planned.step);
      if (!busy) this.running.push({ planned, startedAtMs: this.nowMs, aborted: false });
    }
    this.plan = plan;
    return plan;
  }

  /** Ends a running step. An aborted one does its work or not, and is never written down. */
  end(step: RunningStep, end: StepEnd): void {
    this.running = this.running.filter((each) => each !== step);
    const { planned, startedAtMs } = step;
    const failed = (message: string, final: boolean): void => {
      if (step.aborted) return;
      this.record = recordFailure(this.record, planned, { startedAtMs, message, final }, this.nowMs);
    };
    if (end === 'fails' || end === 'fails for good') return failed('It broke.', end === 'fails for good');
    if (planned.release.some(({ kind }) => kind === 'disk') && this.desired.phase !== 'deleted') {
      this.findings.push('the disk was removed without a deletion');
    }
    try {
      this.machine.perform(planned);
    } catch (error) {
      return failed(toAtelierError(error).message, false);
    }
    if (this.machine.lostWork) this.findings.push('content was cleared that somebody had worked in');
    if (end === 'lost' || step.aborted) return;
    const imageDigest = planned.step === 'image' ? this.machine.pinnedDigest : undefined;
    this.record = recordSuccess(this.record, planned, imageDigest === undefined ? {} : { imageDigest });
  }

  /** The runner's process dies and comes back: it knows of no step that runs. */
  crash(): void {
    this.running = [];
  }

  /**
   * Passes until the plan is settled; every step ends well, and time goes on only when nothing runs. Answers
   * whether it settled within `passesMax` passes.
   */
  converge(passesMax: number): boolean {
    for (let count = 0; count < passesMax; count += 1) {
      const plan = this.pass();
      if (plan.settled) return true;
      const next = this.running[0];
      if (next !== undefined) this.end(next, 'succeeds');
      else this.nowMs = Math.max(this.nowMs, plan.wakeAtMs ?? this.nowMs);
    }
    return false;
  }
}

function isSame(left: PlannedStep, right: PlannedStep): boolean {
  return left.step === right.step && left.session === right.session;
}
