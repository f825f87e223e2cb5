import { AutomationTriggerSchema } from '@atelier/api/gitpod/automation_trigger';
import {
  ServicePhase,
  ServiceSchema,
  TaskExecutionSchema,
  TaskSchema,
  type Service,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { planAutomations, serviceSession, type AutomationFacts } from './plan.ts';

type Trigger = 'manual' | 'postEnvironmentStart' | 'postDevcontainerStart' | 'postMachineStart' | 'prebuild';

const facts: AutomationFacts = {
  started: true,
  boot: 'boot-1',
  devcontainerSession: 'd/1',
  triggerFilter: [],
};
const nextBoot = { ...facts, boot: 'boot-2' };
const rebuilt = { ...facts, boot: 'boot-3', devcontainerSession: 'd/2' };

function triggers(names: readonly Trigger[]) {
  return names.map((name) => create(AutomationTriggerSchema, { trigger: { case: name, value: true } }));
}

function service(names: readonly Trigger[], session = '', desiredPhase = ServicePhase.STOPPED): Service {
  return create(ServiceSchema, {
    id: 's',
    metadata: { triggeredBy: triggers(names) },
    spec: { session, desiredPhase },
  });
}

function task(names: readonly Trigger[]) {
  return create(TaskSchema, { id: 't', metadata: { triggeredBy: triggers(names) } });
}

/** The service after what the plan asked for was done. */
function started(of: AutomationFacts, names: readonly Trigger[]): Service {
  const [start] = planAutomations(of, [service(names)], [], []).serviceStarts;
  return service(names, start?.session ?? '', ServicePhase.RUNNING);
}

function executed(of: AutomationFacts, names: readonly Trigger[]): TaskExecution[] {
  return planAutomations(of, [], [task(names)], []).executions.map(({ taskId, startedBy }) =>
    create(TaskExecutionSchema, { metadata: { taskId, startedBy } }),
  );
}

describe('services', () => {
  it.each([
    ['postEnvironmentStart', ['postEnvironmentStart'], [1, 1, 1]],
    ['postMachineStart', ['postMachineStart'], [1, 1, 1]],
    ['postDevcontainerStart', ['postDevcontainerStart'], [1, 0, 1]],
    ['both', ['postEnvironmentStart', 'postDevcontainerStart'], [1, 1, 1]],
    ['manual and prebuild', ['manual', 'prebuild'], [0, 0, 0]],
  ] as const)('%s: first start, next boot, rebuild', (_what, names, expected) => {
    const before = [service(names), started(facts, names), started(facts, names)];
    const counts = [facts, nextBoot, rebuilt].map(
      (each, index) => planAutomations(each, before.slice(index, index + 1), [], []).serviceStarts.length,
    );
    expect(counts).toEqual(expected);
  });

  it('asks once: what was done is not asked for again', () => {
    for (const names of [['postEnvironmentStart'], ['postDevcontainerStart']] as const) {
      const plan = planAutomations(facts, [started(facts, names)], [], []);
      expect(plan).toEqual({ serviceStarts: [], serviceStops: [], executions: [] });
    }
  });

  it('leaves alone what a user stopped or started in this boot', () => {
    const stopped = started(facts, ['postEnvironmentStart']);
    if (stopped.spec) stopped.spec.desiredPhase = ServicePhase.STOPPED;
    const restarted = service(
      ['postEnvironmentStart'],
      serviceSession(facts, 'someone-7'),
      ServicePhase.RUNNING,
    );
    for (const each of [stopped, restarted]) {
      expect(planAutomations(facts, [each], [], [])).toMatchObject({ serviceStarts: [], serviceStops: [] });
      expect(planAutomations(nextBoot, [each], [], []).serviceStarts).toHaveLength(1);
    }
  });

  it('stops what ran in an earlier boot and is not triggered in this one', () => {
    const manual = service(['manual'], serviceSession(facts, 'someone-7'), ServicePhase.RUNNING);
    const foreign = service(['manual'], 'chosen by a client', ServicePhase.RUNNING);
    expect(planAutomations(facts, [manual], [], []).serviceStops).toEqual([]);
    expect(planAutomations(nextBoot, [manual, foreign], [], []).serviceStops).toEqual(['s']);
  });

  it('does nothing for one that is deleted, or before the environment is up', () => {
    const deleted = service(['postEnvironmentStart'], '', ServicePhase.DELETED);
    expect(planAutomations(facts, [deleted], [], []).serviceStarts).toEqual([]);
    for (const early of [
      { ...facts, started: false },
      { ...facts, boot: '' },
    ]) {
      const plan = planAutomations(
        early,
        [service(['postEnvironmentStart'])],
        [task(['postEnvironmentStart'])],
        [],
      );
      expect(plan).toEqual({ serviceStarts: [], serviceStops: [], executions: [] });
    }
  });
});

describe('tasks', () => {
  it.each([
    ['postEnvironmentStart', ['postEnvironmentStart'], [1, 0, 1, 1]],
    ['postDevcontainerStart', ['postDevcontainerStart'], [1, 0, 0, 1]],
    ['both', ['postEnvironmentStart', 'postDevcontainerStart'], [1, 0, 1, 1]],
    ['manual', ['manual'], [0, 0, 0, 0]],
  ] as const)('%s: first start, again, next boot, rebuild', (_what, names, expected) => {
    const done = executed(facts, names);
    const counts = [
      planAutomations(facts, [], [task(names)], []),
      planAutomations(facts, [], [task(names)], done),
      planAutomations(nextBoot, [], [task(names)], done),
      planAutomations(rebuilt, [], [task(names)], done),
    ].map(({ executions }) => executions.length);
    expect(counts).toEqual(expected);
  });

  it('has the same name for the same cause and another one for the next', () => {
    const name = (of: AutomationFacts) =>
      planAutomations(of, [], [task(['postEnvironmentStart'])], []).executions[0]?.name;
    expect(name(facts)).toBe('t/trigger/boot-1/d%2F1');
    expect(name(facts)).toBe(name(facts));
    expect(name(nextBoot)).not.toBe(name(facts));
  });

  it('does not count manual executions and those of other tasks', () => {
    const others = [
      create(TaskExecutionSchema, { metadata: { taskId: 't', startedBy: 'boot-1/d%2F1' } }),
      create(TaskExecutionSchema, { metadata: { taskId: 'u', startedBy: 'trigger/boot-1/d%2F1' } }),
    ];
    expect(planAutomations(facts, [], [task(['postEnvironmentStart'])], others).executions).toHaveLength(1);
  });

  it('keeps to the trigger filter', () => {
    const filtered = { ...facts, triggerFilter: triggers(['postDevcontainerStart']) };
    expect(planAutomations(filtered, [], [task(['postEnvironmentStart'])], []).executions).toEqual([]);
    expect(planAutomations(filtered, [], [task(['postDevcontainerStart'])], []).executions).toHaveLength(1);
  });
});
