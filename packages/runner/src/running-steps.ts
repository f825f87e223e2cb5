/**
 * The steps of one environment that run now, and how the last ones went. A step has a deadline; one that is
 * not planned any more is aborted. How a step ended waits here until the next pass has written it down.
 */
import { AtelierError, isRetryable, toAtelierError, type Clock, type Timer } from '@atelier/api';
import {
  recordFailure,
  recordSuccess,
  type EnvironmentRecord,
  type PlannedStep,
  type StepAttempt,
  type StepName,
  type StepResult,
} from '@atelier/reconcile';

/** How a step of the last start went: kept beside the record, so that it is known after a restart too. */
export interface StepTiming {
  readonly step: StepName;
  readonly state: 'running' | 'succeeded' | 'failed';
  readonly startedAtMs: number;
  readonly tookMs: number;
  /** Progress while it runs, the reason after it failed. */
  readonly message: string;
  readonly attempt: number;
  readonly deadlineMs: number;
}

/** Does the work of a step; aborted by the signal, with the reason why. */
export type StepWork = (signal: AbortSignal, progress: (message: string) => void) => Promise<StepResult>;

interface RunningStep {
  readonly planned: PlannedStep;
  readonly startedAtMs: number;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

interface EndedStep {
  readonly planned: PlannedStep;
  readonly startedAtMs: number;
  readonly result: StepResult | undefined;
  readonly error: AtelierError | undefined;
}

// Work that does not end when it is told to must not hold its environment for ever; its effects are idempotent.
const abortGraceMs = 30_000;
const progressIntervalMs = 300;

/** The running steps of one environment. */
export class RunningSteps {
  private readonly clock: Clock;
  private readonly onChange: () => void;
  private readonly running = new Map<StepName, RunningStep>();
  private ended: EndedStep[] = [];
  private foldedCount = 0;
  private readonly byName = new Map<StepName, StepTiming>();
  private progressAtMs = 0;

  /** `onChange` is called when a step has ended or has something new to say. */
  constructor(clock: Clock, onChange: () => void) {
    this.clock = clock;
    this.onChange = onChange;
  }

  /** What runs: the aborted that have not ended, and what ended after `fold`, included. */
  attempts(): StepAttempt[] {
    const unfolded = this.ended.slice(this.foldedCount);
    return [...this.running.values(), ...unfolded].map(({ planned: { step, session }, startedAtMs }) => ({
      step,
      session,
      startedAtMs,
    }));
  }

  /** Whether any step of this name runs. */
  isRunning(step: StepName): boolean {
    return this.running.has(step);
  }

  /** The record with the ends of steps folded in, and what to call once it is written. */
  fold(record: EnvironmentRecord): { readonly record: EnvironmentRecord; readonly written: () => void } {
    const ended = [...this.ended];
    this.foldedCount = ended.length;
    let next = record;
    for (const { planned, startedAtMs, result, error } of ended) {
      if (error === undefined) {
        next = recordSuccess(next, planned, result);
        continue;
      }
      // A call that somebody else gave up was not refused: it is tried again.
      const final = !isRetryable(error) && error.code !== 'canceled';
      const failure = { startedAtMs, message: error.message, final };
      next = recordFailure(next, planned, failure, this.clock.nowMs());
    }
    const written = (): void => {
      this.ended = this.ended.slice(ended.length);
      this.foldedCount = 0;
    };
    return { record: next, written };
  }

  /**
   * Aborts what is not planned any more. What ended while the plan was made and is not in it counts for
   * nothing either: written down, it would undo what the plan found instead.
   */
  keepOnly(planned: readonly PlannedStep[]): void {
    const isPlanned = (own: PlannedStep): boolean =>
      planned.some(({ step, session }) => step === own.step && session === own.session);
    this.ended = this.ended.filter((each) => isPlanned(each.planned));
    for (const { planned: own, abort } of this.running.values()) {
      if (!isPlanned(own))
        abort.abort(new AtelierError('canceled', `The step ${own.step} is not wanted any more.`));
    }
  }

  /** Starts a step unless one of its name runs: an aborted one has to end first. */
  start(planned: PlannedStep, work: StepWork): void {
    const isBusy =
      this.running.has(planned.step) || this.ended.some((each) => each.planned.step === planned.step);
    if (isBusy) return;
    const abort = new AbortController();
    const startedAtMs = this.clock.nowMs();
    const ended = this.run(planned, startedAtMs, abort, work);
    this.running.set(planned.step, { planned, startedAtMs, abort, ended });
  }

  /** Aborts everything and waits for its end. */
  async stop(): Promise<void> {
    this.keepOnly([]);
    await Promise.all([...this.running.values()].map(({ ended }) => ended));
  }

  /** How the steps of the last start went, in the order in which they began. */
  timings(): StepTiming[] {
    return [...this.byName.values()];
  }

  /** Takes what was kept beside the record, once after a start of the runner. */
  restore(timings: readonly StepTiming[]): void {
    if (this.byName.size > 0) return;
    for (const timing of timings) {
      if (timing.state !== 'running') this.byName.set(timing.step, timing);
    }
  }

  /** Another start begins. */
  forgetTimings(): void {
    this.byName.clear();
  }

  private async run(
    planned: PlannedStep,
    startedAtMs: number,
    abort: AbortController,
    work: StepWork,
  ): Promise<void> {
    const { step, deadlineMs, attempt } = planned;
    const timing = { step, startedAtMs, attempt, deadlineMs };
    this.byName.delete(step);
    this.byName.set(step, { ...timing, state: 'running', tookMs: 0, message: '' });
    const deadline = this.clock.timer(Math.max(0, deadlineMs - startedAtMs), () =>
      abort.abort(
        new AtelierError(
          'deadline_exceeded',
          `The step ${step} did not end in time. ${this.byName.get(step)?.message ?? ''}`.trim(),
        ),
      ),
    );
    const progress = (message: string): void => this.report(step, abort.signal, message);
    const overdue = this.overdueAfter(abort.signal);
    const settle = (result?: StepResult, error?: AtelierError): void => {
      deadline.cancel();
      overdue.cancel();
      if (this.running.get(step)?.abort !== abort) return;
      this.running.delete(step);
      const state = error === undefined ? 'succeeded' : 'failed';
      const tookMs = this.clock.nowMs() - startedAtMs;
      this.byName.set(step, { ...timing, state, tookMs, message: error?.message ?? '' });
      // What was aborted as unwanted counts for nothing, however it ended.
      const isUnwanted = abortReason(abort.signal)?.code === 'canceled';
      if (!isUnwanted) this.ended.push({ planned, startedAtMs, result, error });
      this.onChange();
    };
    try {
      // The first line of work must not run before `start` has noted it down.
      await Promise.resolve();
      settle(await Promise.race([work(abort.signal, progress), overdue.reached]));
    } catch (thrown) {
      settle(undefined, abortReason(abort.signal) ?? toAtelierError(thrown));
    }
  }

  /** Rejects when the work has not ended a while after its abort. */
  private overdueAfter(signal: AbortSignal): { reached: Promise<never>; cancel: () => void } {
    let timer: Timer | undefined;
    let begin = (): void => undefined;
    const reached = new Promise<never>((_, reject) => {
      begin = () => {
        timer = this.clock.timer(abortGraceMs, () => reject(signal.reason));
      };
    });
    signal.addEventListener('abort', begin, { once: true });
    const cancel = (): void => {
      signal.removeEventListener('abort', begin);
      timer?.cancel();
    };
    return { reached, cancel };
  }

  private report(step: StepName, signal: AbortSignal, message: string): void {
    const timing = this.byName.get(step);
    if (timing === undefined || signal.aborted) return;
    this.byName.set(step, { ...timing, message: message.slice(0, 500) });
    const nowMs = this.clock.nowMs();
    if (nowMs - this.progressAtMs < progressIntervalMs) return;
    this.progressAtMs = nowMs;
    this.onChange();
  }
}

function abortReason(signal: AbortSignal): AtelierError | undefined {
  return signal.aborted && signal.reason instanceof AtelierError ? signal.reason : undefined;
}
