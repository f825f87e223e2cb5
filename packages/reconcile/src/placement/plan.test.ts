import { EnvironmentSchema } from '@atelier/api/gitpod/environment';
import { EnvironmentClassSchema } from '@atelier/api/gitpod/environment_class';
import { RunnerPhase, RunnerSchema } from '@atelier/api/gitpod/runner';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { placementDeadlineMs, planPlacement, type PlacementRunner } from './plan.ts';

const nowMs = 1_000_000_000;

function environment(machineClass = '', createdAtMs = nowMs, lastStartedAtMs?: number) {
  const lastStartedAt =
    lastStartedAtMs === undefined ? {} : { lastStartedAt: timestampFromMs(lastStartedAtMs) };
  return create(EnvironmentSchema, {
    metadata: { createdAt: timestampFromMs(createdAtMs), ...lastStartedAt },
    spec: { machine: { class: machineClass } },
  });
}

function runner(runnerId: string, connected = true, phase = RunnerPhase.ACTIVE): PlacementRunner {
  return {
    runner: create(RunnerSchema, { runnerId, name: `runner ${runnerId}`, status: { phase } }),
    connected,
  };
}

function classOf(id: string, runnerId: string, enabled = true) {
  return create(EnvironmentClassSchema, { id, runnerId, enabled, displayName: `class ${id}` });
}

const runners = [runner('a'), runner('b'), runner('c', false), runner('d', true, RunnerPhase.DEGRADED)];
const classes = ['a', 'b', 'c', 'd'].flatMap((id) => [
  classOf(`off-${id}`, id, false),
  classOf(`small-${id}`, id),
  classOf(`large-${id}`, id),
]);

describe('planPlacement', () => {
  it.each([
    ['the class names its runner', 'large-b', {}, { runnerId: 'b', environmentClassId: 'large-b' }],
    ['without a class the first enabled one', '', {}, { runnerId: 'a', environmentClassId: 'small-a' }],
    ['the least loaded', '', { a: 3, b: 1, c: 0, d: 0 }, { runnerId: 'b', environmentClassId: 'small-b' }],
    [
      'a runner that nobody counted has no load',
      '',
      { a: 1 },
      { runnerId: 'b', environmentClassId: 'small-b' },
    ],
  ])('%s', (_what, machineClass, load, expected) => {
    const plan = planPlacement(
      environment(machineClass),
      runners,
      classes,
      new Map(Object.entries(load)),
      nowMs,
    );
    expect(plan).toEqual({ kind: 'placed', ...expected });
  });

  it.each([
    ['no runner', '', [], [], 'There is no runner. Add one, then the environment starts.'],
    ['no class', '', runners, [], 'No runner has an enabled environment class. Enable one.'],
    ['unknown class', 'x', runners, classes, 'There is no environment class x. Choose another one.'],
    [
      'disabled class',
      'off-a',
      runners,
      classes,
      'The environment class class off-a is disabled. Enable it or choose another one.',
    ],
    [
      'runner gone',
      'small-a',
      [runner('b')],
      classes,
      'The runner of the environment class class small-a is gone. Choose another class.',
    ],
    [
      'not connected',
      'small-c',
      runners,
      classes,
      'The runner of the environment class class small-c is not ready: runner c is not connected.',
    ],
    [
      'not active',
      'small-d',
      runners,
      classes,
      'The runner of the environment class class small-d is not ready: runner d is connected but not active.',
    ],
    ['nobody ready', '', [runner('c', false)], classes, 'No runner is ready: runner c is not connected.'],
  ] as const)('waits and then fails: %s', (_what, machineClass, some, offered, reason) => {
    const late = nowMs + placementDeadlineMs;
    const plan = (atMs: number) => planPlacement(environment(machineClass), some, offered, new Map(), atMs);
    expect(plan(late - 1)).toEqual({ kind: 'waiting', reason, deadlineMs: late });
    expect(plan(late)).toEqual({ kind: 'failed', failureMessage: reason });
  });

  it('counts the wait from the last start, and places whenever it can', () => {
    const restarted = environment('small-a', nowMs - 86_400_000, nowMs - 1000);
    const deadlineMs = nowMs - 1000 + placementDeadlineMs;
    expect(planPlacement(restarted, [], [], new Map(), nowMs)).toMatchObject({ kind: 'waiting', deadlineMs });
    const late = planPlacement(environment('small-a', 0), runners, classes, new Map(), nowMs);
    expect(late.kind).toBe('placed');
  });
});
