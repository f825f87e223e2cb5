/**
 * A linter for environment plans: rules that hold for every plan whatever made it, written without a look at
 * how the plan is made. Used by tests, by the simulation and, in tests, by the runner.
 */
import { isLasting } from '@atelier/api';
import type {
  EnvironmentDesired,
  EnvironmentObserved,
  EnvironmentPlan,
  EnvironmentRecord,
  PlannedStep,
  ReleaseTarget,
  StepName,
} from './environment/model.ts';
import { applyChange } from './environment/record.ts';
import { statusOf } from './environment/status.ts';

interface Subject {
  readonly desired: EnvironmentDesired;
  readonly observed: EnvironmentObserved;
  readonly plan: EnvironmentPlan;
  /** The record as it is when the steps start. */
  readonly record: EnvironmentRecord;
  readonly nowMs: number;
}

type LintRule = (subject: Subject) => string[];

const rules: readonly LintRule[] = [
  settledIsTrue,
  neverStuck,
  everyWaitEnds,
  stepsAreApart,
  prerequisitesAreThere,
  nothingIsLost,
  backMeansBack,
  reasonIsSaid,
];

/**
 * Says what is wrong with a plan for this desired and observed state, one sentence per finding; empty for a
 * sound plan. A finding is a defect of the plan, never of the environment.
 */
export function lintPlan(
  desired: EnvironmentDesired,
  observed: EnvironmentObserved,
  plan: EnvironmentPlan,
  nowMs: number,
): string[] {
  const record = applyChange(observed.record, plan.recordChange);
  const subject = { desired, observed, plan, record, nowMs };
  return rules.flatMap((rule) => rule(subject));
}

function when(broken: boolean, finding: string): string[] {
  return broken ? [finding] : [];
}

function settledIsTrue(subject: Subject): string[] {
  const { desired, observed, plan, record } = subject;
  if (!plan.settled) return [];
  const { disk, main, network, pinnedDigest, throwaway, supervisor } = observed;
  const found = [
    ...when(plan.steps.length > 0, 'settled with steps to run'),
    ...when(observed.running.length > 0, 'settled while steps run'),
  ];
  if (plan.machine === 'running') {
    const runs = main?.state === 'running' && main.generation === record.generation;
    return [
      ...found,
      ...when(desired.phase !== 'running', 'settled running without the wish'),
      ...when(!runs, 'settled running without an instance on the root layer in use'),
      ...when(disk === undefined || !network, 'settled running without disk or network'),
      ...when(supervisor?.applied !== true, 'settled running without a supervisor that has its state'),
      ...when(supervisor?.boot !== record.boot, 'settled running with the supervisor of another boot'),
    ];
  }
  const deleted = plan.machine === 'deleted';
  if (!deleted && plan.machine !== 'stopped') found.push(`settled with the machine ${plan.machine}`);
  const allowed = !deleted && (plan.failureMessage !== '' || record.idleStop !== undefined);
  const wished = deleted ? 'deleted' : 'stopped';
  return [
    ...found,
    ...when(desired.phase !== wished && !allowed, `settled ${wished} without the wish`),
    ...when(main !== undefined || throwaway.length > 0, `settled ${wished} with an instance`),
    ...when(network, `settled ${wished} with its network`),
    ...when(deleted && disk !== undefined, 'settled deleted with its disk'),
    ...when(deleted && pinnedDigest !== undefined, 'settled deleted with its pin'),
  ];
}

function neverStuck({ observed, plan, nowMs }: Subject): string[] {
  const waits = plan.wakeAtMs !== undefined || plan.steps.length > 0 || observed.running.length > 0;
  return [
    ...when(!plan.settled && !waits, 'not settled, and nothing will wake it'),
    ...when(plan.wakeAtMs !== undefined && plan.wakeAtMs <= nowMs, 'wakes in the past'),
    ...when(plan.settled && plan.wakeAtMs !== undefined, 'settled, and wakes'),
  ];
}

function everyWaitEnds({ desired, observed, plan, nowMs }: Subject): string[] {
  const { phase } = statusOf(desired, observed, plan);
  return [
    ...when(!isLasting(phase) && plan.deadlineMs === undefined, `phase ${phase} without a deadline`),
    ...plan.steps.flatMap(({ step, deadlineMs }) =>
      when(deadlineMs <= nowMs, `step ${step} is planned after its deadline`),
    ),
  ];
}

/** What a step works on: two steps of one plan that work on the same thing would get in each other's way. */
const works: Readonly<Record<StepName, readonly string[]>> = {
  disk: ['disk'],
  content: ['workspace'],
  configuration: ['workspace'],
  image: ['image'],
  root: ['image', 'root'],
  network: ['network'],
  instance: ['workspace', 'root', 'network', 'main'],
  supervisor: ['main'],
  lifecycle: ['main'],
  shutdown: ['main'],
  stop: ['workspace', 'root', 'main'],
  release: [],
};

function releaseWorks(target: ReleaseTarget): readonly string[] {
  if (target.kind === 'network') return ['network'];
  if (target.kind === 'pin') return ['image'];
  return target.kind === 'disk' ? ['disk', 'workspace', 'root'] : ['root'];
}

function stepsAreApart({ plan }: Subject): string[] {
  const taken = new Map<string, StepName>();
  const found: string[] = [];
  for (const { step, release } of plan.steps) {
    for (const each of new Set([...works[step], ...release.flatMap(releaseWorks)])) {
      const other = taken.get(each);
      if (other !== undefined) found.push(`steps ${other} and ${step} work on the same ${each}`);
      taken.set(each, step);
    }
  }
  return found;
}

function prerequisitesAreThere(subject: Subject): string[] {
  return subject.plan.steps.flatMap((planned) =>
    missing(subject, planned).map((what) => `step ${planned.step} without ${what}`),
  );
}

function missing({ desired, observed, record }: Subject, planned: PlannedStep): string[] {
  const { disk, main, network, supervisor } = observed;
  const hasContent = disk !== undefined && record.contentSession === desired.contentSession;
  const hasImage = observed.imagePresent && observed.pinnedDigest !== undefined;
  switch (planned.step) {
    case 'content':
      return [
        ...when(disk === undefined, 'a disk'),
        ...when(!network, 'a network'),
        ...when(main !== undefined, 'the main instance being gone'),
      ];
    case 'configuration':
      return when(!hasContent, 'content');
    case 'image': {
      const configured = record.configurationSession === desired.devcontainerSession;
      return when(!planned.recovery && !configured, 'a configuration');
    }
    case 'root':
      return [
        ...when(disk === undefined, 'a disk'),
        ...when(!hasImage, 'an image that is here and pinned'),
        ...when(disk?.generations.includes(planned.generation ?? 0) ?? false, 'a free generation'),
      ];
    case 'instance':
      return [
        ...when(!hasContent, 'content'),
        ...when(!hasImage, 'an image that is here and pinned'),
        ...when(!network, 'a network'),
        ...when(main !== undefined, 'the earlier instance being gone'),
        ...when(!(disk?.generations.includes(planned.generation ?? 0) ?? false), 'its root layer'),
        ...when(planned.session !== record.boot, 'its boot in the record'),
      ];
    case 'supervisor':
      return when(main?.state !== 'running', 'a running instance');
    case 'lifecycle':
      return when(supervisor?.applied !== true, 'a supervisor that has its state');
    case 'shutdown':
      return when(supervisor === undefined, 'a link');
    default:
      return [];
  }
}

function nothingIsLost({ desired, observed, plan, record }: Subject): string[] {
  const before = observed.record;
  const { recordChange } = plan;
  const deleted = desired.phase === 'deleted';
  const contentLost =
    'contentSession' in recordChange &&
    before.contentSession !== undefined &&
    desired.hasContent &&
    recordChange.contentSession !== before.contentSession;
  const targets = plan.steps.flatMap((planned) => planned.release);
  const layers = targets.flatMap((target) => (target.kind === 'generation' ? [target.generation] : []));
  const used = [record.generation, observed.main?.generation];
  return [
    ...when(contentLost, 'the record forgets content that was made'),
    ...when(record.generation < before.generation, 'the generation goes back'),
    ...when(record.boots < before.boots, 'the number of boots goes back'),
    ...when(!deleted && targets.some(({ kind }) => kind === 'disk'), 'the disk goes without a deletion'),
    ...when(!deleted && targets.some(({ kind }) => kind === 'pin'), 'the pin goes without a deletion'),
    ...when(
      layers.some((each) => used.includes(each)),
      'a root layer goes that is in use',
    ),
  ];
}

const stepsBack: readonly StepName[] = ['shutdown', 'stop', 'release'];

function backMeansBack({ desired, observed, plan }: Subject): string[] {
  const back = desired.phase !== 'running' || plan.failureMessage !== '';
  const forth = plan.steps.filter(({ step }) => !stepsBack.includes(step)).map(({ step }) => step);
  const releases = plan.steps.flatMap(({ release }) => release);
  const whole = releases.some(({ kind }) => kind !== 'generation');
  return [
    ...when(back && forth.length > 0, `${forth.join(', ')} on the way back`),
    ...when(whole && observed.main !== undefined, 'something is released under an instance'),
    ...when(!back && plan.machine === 'deleting', 'deletes without the wish'),
  ];
}

function reasonIsSaid({ plan }: Subject): string[] {
  return when(!/^[A-Z].*\.$/s.test(plan.reason), `no sentence as reason: ${JSON.stringify(plan.reason)}`);
}
