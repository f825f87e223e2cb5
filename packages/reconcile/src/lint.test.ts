import { describe, expect, it } from 'vitest';
import type {
  EnvironmentDesired,
  EnvironmentObserved,
  EnvironmentPlan,
  EnvironmentRecord,
  PlannedStep,
} from './environment/model.ts';
import { emptyRecord } from './environment/record.ts';
import { lintPlan } from './lint.ts';

const nowMs = 1000;

const wish: EnvironmentDesired = {
  environmentId: 'e',
  phase: 'running',
  machineSession: 'm',
  contentSession: 'c',
  devcontainerSession: 'd',
  hasContent: true,
};

const record: EnvironmentRecord = {
  ...emptyRecord(0),
  goal: 'running m c d',
  contentSession: 'c',
  configurationSession: 'd',
  generation: 1,
  boots: 1,
  boot: 'boot-1',
  machineSession: 'm',
};

const running: EnvironmentObserved = {
  record,
  running: [],
  disk: { generations: [1] },
  network: true,
  pinnedDigest: 'sha256:1',
  imagePresent: true,
  main: { name: 'main', generation: 1, state: 'running' },
  throwaway: [],
  supervisor: { boot: 'boot-1', applied: true, lifecycle: 'none', shutDown: false },
};

const settled: EnvironmentPlan = {
  recordChange: {},
  steps: [],
  wakeAtMs: undefined,
  settled: true,
  machine: 'running',
  content: 'ready',
  devcontainer: 'running',
  reason: 'The environment runs.',
  failureMessage: '',
  deadlineMs: undefined,
};

const stopped: EnvironmentDesired = { ...wish, phase: 'stopped' };
const empty: EnvironmentObserved = {
  record,
  running: [],
  network: false,
  imagePresent: false,
  throwaway: [],
};
const starting: EnvironmentPlan = {
  ...settled,
  settled: false,
  machine: 'starting',
  wakeAtMs: 9000,
  deadlineMs: 9000,
};

function step(name: PlannedStep['step'], more: Partial<PlannedStep> = {}): PlannedStep {
  return { step: name, session: 's', attempt: 1, deadlineMs: 9000, recovery: false, release: [], ...more };
}

function goes(target: PlannedStep['release'][number]): PlannedStep {
  return step('release', { release: [target] });
}

function lint(
  desired: EnvironmentDesired,
  observed: Partial<EnvironmentObserved>,
  plan: Partial<EnvironmentPlan>,
  base: EnvironmentPlan = starting,
): string[] {
  return lintPlan(desired, { ...running, ...observed }, { ...base, ...plan }, nowMs);
}

/** One planted defect each: what it is, what the linter is given, and what it has to say. */
const planted: [what: string, found: () => string[], finding: string][] = [
  [
    'settled with steps',
    () => lint(wish, {}, { steps: [step('supervisor')] }, settled),
    'settled with steps to run',
  ],
  [
    'settled too early',
    () => lint(wish, { running: [{ step: 'stop', session: '', startedAtMs: 0 }] }, {}, settled),
    'settled while steps run',
  ],
  [
    'runs nowhere',
    () => lint(wish, { main: undefined }, {}, settled),
    'settled running without an instance on the root layer in use',
  ],
  [
    'runs without network',
    () => lint(wish, { network: false }, {}, settled),
    'settled running without disk or network',
  ],
  [
    'runs without supervisor',
    () => lint(wish, { supervisor: undefined }, {}, settled),
    'settled running without a supervisor that has its state',
  ],
  ['runs unwished', () => lint(stopped, {}, {}, settled), 'settled running without the wish'],
  [
    'rests unwished',
    () => lintPlan(wish, empty, { ...settled, machine: 'stopped' }, nowMs),
    'settled stopped without the wish',
  ],
  [
    'stopped with a network',
    () => lintPlan(stopped, { ...empty, network: true }, { ...settled, machine: 'stopped' }, nowMs),
    'settled stopped with its network',
  ],
  [
    'deleted with a disk',
    () =>
      lintPlan(
        { ...wish, phase: 'deleted' },
        { ...empty, disk: { generations: [] } },
        { ...settled, machine: 'deleted' },
        nowMs,
      ),
    'settled deleted with its disk',
  ],
  ['stuck', () => lint(wish, {}, { wakeAtMs: undefined }), 'not settled, and nothing will wake it'],
  ['a busy loop', () => lint(wish, {}, { wakeAtMs: nowMs }), 'wakes in the past'],
  ['no deadline', () => lint(wish, {}, { deadlineMs: undefined }), 'phase 20 without a deadline'],
  [
    'a late step',
    () => lint(wish, {}, { steps: [step('supervisor', { deadlineMs: nowMs })] }),
    'step supervisor is planned after its deadline',
  ],
  [
    'two at once',
    () => lint(wish, {}, { steps: [step('shutdown'), step('stop')] }),
    'steps shutdown and stop work on the same main',
  ],
  [
    'content under an instance',
    () => lint(wish, {}, { steps: [step('content')] }),
    'step content without the main instance being gone',
  ],
  [
    'no configuration',
    () => lint({ ...wish, devcontainerSession: 'd2' }, {}, { steps: [step('image')] }),
    'step image without a configuration',
  ],
  [
    'a layer on nothing',
    () => lint(wish, { imagePresent: false }, { steps: [step('root', { generation: 2 })] }),
    'step root without an image that is here and pinned',
  ],
  [
    'a layer twice',
    () => lint(wish, {}, { steps: [step('root', { generation: 1 })] }),
    'step root without a free generation',
  ],
  [
    'a boot without a name',
    () =>
      lint(wish, { main: undefined }, { steps: [step('instance', { session: 'boot-2', generation: 1 })] }),
    'step instance without its boot in the record',
  ],
  [
    'nobody to ask',
    () => lint(stopped, { supervisor: undefined }, { steps: [step('shutdown')] }),
    'step shutdown without a link',
  ],
  [
    'forgets content',
    () => lint(wish, {}, { recordChange: { contentSession: undefined } }),
    'the record forgets content that was made',
  ],
  ['goes back', () => lint(wish, {}, { recordChange: { generation: 0 } }), 'the generation goes back'],
  [
    'takes the disk',
    () => lint(stopped, { main: undefined }, { steps: [goes({ kind: 'disk' })] }),
    'the disk goes without a deletion',
  ],
  [
    'takes the layer',
    () => lint(wish, {}, { steps: [goes({ kind: 'generation', generation: 1 })] }),
    'a root layer goes that is in use',
  ],
  [
    'starts what stops',
    () => lint(stopped, {}, { steps: [step('supervisor')] }),
    'supervisor on the way back',
  ],
  [
    'takes the network away',
    () => lint(stopped, {}, { steps: [goes({ kind: 'network' })] }),
    'something is released under an instance',
  ],
  ['deletes unwished', () => lint(wish, {}, { machine: 'deleting' }), 'deletes without the wish'],
  ['says nothing', () => lint(wish, {}, { reason: '' }), 'no sentence as reason: ""'],
];

describe('lintPlan', () => {
  it('finds nothing in sound plans', () => {
    expect(lint(wish, {}, {}, settled)).toEqual([]);
    expect(lint(wish, {}, { steps: [step('supervisor')] })).toEqual([]);
    expect(lintPlan(stopped, empty, { ...settled, machine: 'stopped' }, nowMs)).toEqual([]);
    expect(lintPlan({ ...wish, phase: 'deleted' }, empty, { ...settled, machine: 'deleted' }, nowMs)).toEqual(
      [],
    );
  });

  it.each(planted)('finds: %s', (_what, found, finding) => {
    expect(found()).toContain(finding);
  });
});
