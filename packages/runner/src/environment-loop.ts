/**
 * The pass of one environment: read everything anew, plan, write down what follows, start and abort steps,
 * tell the plane. Nothing is decided here; that is `planEnvironment`.
 */
import { AtelierError, toAtelierError } from '@atelier/api';
import {
  DesiredEnvironmentSchema,
  ObservedEnvironmentSchema,
  type DesiredEnvironment,
} from '@atelier/api/atelier/runner_link';
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import {
  applyChange,
  desiredOf,
  emptyRecord,
  planEnvironment,
  type EnvironmentDesired,
  type EnvironmentObserved,
  type EnvironmentPlan,
  type EnvironmentRecord,
  type Outcome,
} from '@atelier/reconcile';
import { create } from '@bufbuild/protobuf';
import { contentSource } from './content/source.ts';
import { EnvironmentMemory, isLocalRunner, type RunnerParts } from './environment.ts';
import { lookForIdleness, nothingToSee } from './idleness.ts';
import { lifecycleDoneOf } from './inside.ts';
import { machineLists, observe, type MachineLists } from './observation.ts';
import type { Outbox } from './plane-link/outbox.ts';
import { readRecord, sameRecord, writeRecord, type StoredRecord } from './record.ts';
import { RunningSteps } from './running-steps.ts';
import { blockedStatus, environmentStatus, observedEnvironment, type StatusFacts } from './status.ts';
import { steps } from './steps/steps.ts';

/** What the passes need beside the parts that steps share. */
export interface EnvironmentLoopOptions {
  readonly parts: RunnerParts;
  readonly outbox: Outbox;
  /** Whether nothing may be started or ended now; see the plane link. */
  readonly holds: () => boolean;
  readonly gatewayUrl: () => string;
  readonly onPlan: OnPlan;
}

/** Told of each plan before it is carried out: for linters and counters. */
export type OnPlan = (
  desired: EnvironmentDesired,
  observed: EnvironmentObserved,
  plan: EnvironmentPlan,
  nowMs: number,
) => void;

/** What one pass found and decided. */
type PassFacts = Pick<StatusFacts, 'desired' | 'wish' | 'plan' | 'observation' | 'idleLook'>;

/** The environments of a runner, each with its memory. */
export class EnvironmentPasses {
  private readonly options: EnvironmentLoopOptions;
  private readonly lists: MachineLists;
  private readonly memories = new Map<string, EnvironmentMemory>();

  constructor(options: EnvironmentLoopOptions) {
    this.options = options;
    this.lists = machineLists(options.parts.driver);
  }

  /** The memory of an environment that a pass was made for; undefined before and after. */
  memoryOf(environmentId: string): EnvironmentMemory | undefined {
    return this.memories.get(environmentId);
  }

  /** Aborts all steps, waits for their end and gives the links up. Environments run on. */
  async stop(): Promise<void> {
    const memories = [...this.memories.values()];
    await Promise.all(memories.map((memory) => memory.steps.stop()));
    await Promise.all(memories.map((memory) => memory.forgetClient()));
  }

  /** One pass; see the module comment. */
  async pass(environmentId: string): Promise<Outcome> {
    const { parts } = this.options;
    const entry = parts.ledger.get(environmentId);
    // Without any desired set, what is here may well be desired: nothing is touched.
    if (entry === undefined && parts.ledger.revision() === 0n) return { kind: 'settled' };
    const desired = entry?.desired ?? unknownEnvironment(environmentId);
    const wish = wishOf(desired, entry !== undefined && !entry.unnamed);
    let stored: StoredRecord | undefined;
    try {
      stored = await readRecord(parts.records, environmentId);
    } catch (thrown) {
      const error = toAtelierError(thrown);
      if (!['data_loss', 'failed_precondition'].includes(error.code)) throw error;
      // What is to be deleted needs no record.
      if (wish.phase !== 'deleted') return this.unreadable(desired, environmentId, error);
    }
    if (stored === undefined && entry === undefined) {
      await this.forget(environmentId);
      return { kind: 'settled' };
    }
    return this.passWith(desired, wish, stored);
  }

  private async passWith(
    desired: DesiredEnvironment,
    wish: EnvironmentDesired,
    stored: StoredRecord | undefined,
  ): Promise<Outcome> {
    const { parts, holds } = this.options;
    const { environmentId } = wish;
    const memory = this.remember(environmentId);
    memory.steps.restore(stored?.timings ?? []);
    const nowMs = parts.clock.nowMs();
    const folded = memory.steps.fold(stored?.record ?? emptyRecord(nowMs));
    const observation = await observe(parts, this.lists, memory, desired, folded.record);
    const plan = planEnvironment(wish, observation.observed, parts.settings.deadlines, nowMs);
    this.options.onPlan(wish, observation.observed, plan, nowMs);
    if (plan.machine === 'deleted' && plan.settled) {
      return this.gone({ desired, wish, plan, observation, idleLook: nothingToSee }, memory);
    }
    const planned = applyChange(folded.record, plan.recordChange);
    const look = lookForIdleness(desired, memory, observation, plan, planned, nowMs);
    const lifecycleDone = lifecycleDoneOf(observation.loaded.inside, planned, observation.view?.status);
    const record = {
      ...planned,
      ...(look.idleStop === undefined ? {} : { idleStop: look.idleStop }),
      ...(lifecycleDone === undefined ? {} : { lifecycleDone }),
    };
    if (record.goal !== stored?.record.goal && wish.phase === 'running') memory.steps.forgetTimings();
    await this.write(environmentId, stored, record, memory);
    folded.written();
    if (!holds()) this.carryOut(desired, record, plan, memory);
    this.publish({ desired, wish, plan, observation, idleLook: look }, memory);
    return outcomeOf(plan, look.againInMs, nowMs);
  }

  private async write(
    environmentId: string,
    stored: StoredRecord | undefined,
    record: EnvironmentRecord,
    memory: EnvironmentMemory,
  ): Promise<void> {
    if (stored !== undefined && sameRecord(stored.record, record)) return;
    await writeRecord(this.options.parts.records, environmentId, {
      record,
      timings: memory.steps.timings(),
    });
  }

  private carryOut(
    desired: DesiredEnvironment,
    record: EnvironmentRecord,
    plan: EnvironmentPlan,
    memory: EnvironmentMemory,
  ): void {
    const { parts } = this.options;
    const { environmentId } = memory;
    memory.steps.keepOnly(plan.steps);
    for (const planned of plan.steps) {
      memory.steps.start(planned, (signal, progress) =>
        steps[planned.step]({ parts, memory, environmentId, desired, record, progress }, planned, signal),
      );
    }
  }

  private publish(pass: PassFacts, memory: EnvironmentMemory): void {
    const { parts, gatewayUrl, outbox } = this.options;
    const nowMs = parts.clock.nowMs();
    const facts = {
      ...pass,
      timings: memory.steps.timings(),
      before: memory.phase,
      nowMs,
      gatewayUrl: gatewayUrl(),
      lastActiveMs: memory.lastActiveMs,
      supervisorWarning: memory.client?.warning ?? '',
      invalid: this.invalidity(pass.desired),
    };
    const status = environmentStatus(facts);
    if (memory.phase?.name !== status.phase) {
      const sinceMs = memory.phase === undefined ? pass.observation.observed.record.goalSinceMs : nowMs;
      memory.phase = { name: status.phase, sinceMs };
    }
    outbox.put(observedEnvironment(facts, status));
  }

  private invalidity(desired: DesiredEnvironment): string {
    const spec = desired.environment?.spec;
    if (spec === undefined) return '';
    try {
      contentSource(spec, isLocalRunner(this.options.parts.ledger));
      return '';
    } catch (error) {
      return toAtelierError(error).message;
    }
  }

  /** Nothing is left on the machine: what was written down goes as well, and the plane hears of it. */
  private async gone(pass: PassFacts, memory: EnvironmentMemory): Promise<Outcome> {
    const { parts } = this.options;
    const { environmentId } = pass.wish;
    await memory.forgetClient();
    await parts.logs.remove(environmentId);
    await parts.records.remove(environmentId);
    this.publish(pass, memory);
    return { kind: 'settled' };
  }

  private unreadable(desired: DesiredEnvironment, environmentId: string, error: AtelierError): Outcome {
    const { outbox } = this.options;
    const status = blockedStatus(desired, outbox.get(environmentId)?.status, error.message);
    outbox.put(create(ObservedEnvironmentSchema, { environmentId, status }));
    return { kind: 'failed', reason: error.message };
  }

  /** The plane has forgotten the environment and nothing of it is here. */
  private async forget(environmentId: string): Promise<void> {
    const memory = this.memories.get(environmentId);
    this.memories.delete(environmentId);
    this.options.outbox.forget(environmentId);
    await memory?.steps.stop();
    await memory?.forgetClient();
  }

  private remember(environmentId: string): EnvironmentMemory {
    const known = this.memories.get(environmentId);
    if (known !== undefined) return known;
    const { parts } = this.options;
    const running = new RunningSteps(parts.clock, () => parts.wake(environmentId));
    const memory = new EnvironmentMemory(parts, environmentId, running);
    this.memories.set(environmentId, memory);
    return memory;
  }
}

/** An environment that the plane does not name: it is kept on its disk, and stopped. */
function unknownEnvironment(id: string): DesiredEnvironment {
  return create(DesiredEnvironmentSchema, {
    environment: { id, spec: { desiredPhase: EnvironmentPhase.STOPPED } },
  });
}

function wishOf(desired: DesiredEnvironment, isNamed: boolean): EnvironmentDesired {
  if (desired.environment === undefined) {
    throw new AtelierError('internal', 'An entry of the ledger has no environment.');
  }
  const wish = desiredOf(desired.environment);
  return isNamed ? wish : { ...wish, phase: 'stopped' };
}

function outcomeOf(plan: EnvironmentPlan, idleLookMs: number | undefined, nowMs: number): Outcome {
  const times = [plan.wakeAtMs === undefined ? undefined : plan.wakeAtMs - nowMs, idleLookMs].filter(
    (time) => time !== undefined,
  );
  if (times.length === 0) return { kind: 'settled' };
  return { kind: 'again', afterMs: Math.max(0, Math.min(...times)) };
}
