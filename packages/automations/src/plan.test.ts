import { TaskSpecSchema, type TaskExecutionSpec_Group } from '@atelier/api/gitpod/environment_automation';
import { create, isMessage } from '@bufbuild/protobuf';
import { TaskExecutionSpec_GroupSchema } from '@atelier/api/gitpod/environment_automation';
import { expect, test } from 'vitest';
import { planExecution, serviceStartOrder, type ServiceNode, type TaskNode } from './plan.ts';

function task(id: string, ...dependsOn: string[]): TaskNode {
  return { id, label: id.toUpperCase(), spec: create(TaskSpecSchema, { command: `run ${id}` }), dependsOn };
}

function service(id: string, ...dependsOn: string[]): ServiceNode {
  return { id, label: id, dependsOn };
}

function render(groups: TaskExecutionSpec_Group[]): string[] {
  return groups.map((group) =>
    group.steps
      .map(
        (step) =>
          `${step.step.case} ${step.id}${step.dependsOn.length > 0 ? `<-${step.dependsOn.join('+')}` : ''}`,
      )
      .join(' | '),
  );
}

const tables: [string, string, TaskNode[], ServiceNode[], string[]][] = [
  ['alone', 'a', [task('a'), task('b')], [service('s')], ['task a']],
  ['a chain', 'c', [task('c', 'b'), task('b', 'a'), task('a')], [], ['task a', 'task b<-a', 'task c<-b']],
  [
    'a diamond runs each once',
    'd',
    [task('d', 'b', 'c'), task('c', 'a'), task('b', 'a'), task('a')],
    [],
    ['task a', 'task b<-a | task c<-a', 'task d<-b+c'],
  ],
  [
    'the longest way decides the group',
    'd',
    [task('d', 'a', 'c'), task('c', 'b'), task('b', 'a'), task('a')],
    [],
    ['task a', 'task b<-a', 'task c<-b', 'task d<-a+c'],
  ],
  [
    'services and the services below them',
    't',
    [task('t', 'web', 'a'), task('a')],
    [service('web', 'db'), service('db'), service('other')],
    ['task a | serviceId db', 'serviceId web<-db', 'task t<-a+web'],
  ],
  ['a dependency named twice', 'b', [task('b', 'a', 'a'), task('a')], [], ['task a', 'task b<-a']],
];

test.each(tables)('plan: %s', (_name, id, tasks, services, expected) => {
  const plan = planExecution(id, tasks, services);
  expect(render(plan)).toEqual(expected);
  expect(plan.every((group) => isMessage(group, TaskExecutionSpec_GroupSchema))).toBe(true);
  expect(planExecution(id, tasks.toReversed(), services.toReversed())).toEqual(plan);
});

test('a plan is frozen: a task that changes afterwards does not change it', () => {
  const definition = task('a');
  const plan = planExecution('a', [definition], []);
  definition.spec.command = 'other';
  expect(plan[0]?.steps[0]?.step).toMatchObject({ value: { spec: { command: 'run a' } } });
});

const refusals: [string, () => unknown, string, string][] = [
  [
    'unknown task',
    () => planExecution('x', [], [service('x')]),
    'not_found',
    'There is no task x. List the tasks to see their names.',
  ],
  [
    'unknown service',
    () => serviceStartOrder('x', []),
    'not_found',
    'There is no service x. List the services to see their names.',
  ],
  [
    'missing dependency',
    () => planExecution('a', [task('a', 'b')], []),
    'failed_precondition',
    'a depends on b, which does not exist. Correct its dependsOn.',
  ],
  [
    'cycle of tasks',
    () => planExecution('a', [task('a', 'b'), task('b', 'c'), task('c', 'b')], []),
    'failed_precondition',
    'Dependencies go round: b -> c -> b. Take one of them away.',
  ],
  [
    'cycle of services',
    () => serviceStartOrder('a', [service('a', 'a')]),
    'failed_precondition',
    'Dependencies go round: a -> a. Take one of them away.',
  ],
];

test.each(refusals)('refused: %s', (_name, act, code, message) => {
  expect(act).toThrow(expect.objectContaining({ code, message }));
});

test('a service starts after those it depends on', () => {
  const services = [
    service('web', 'api', 'cache'),
    service('api', 'db'),
    service('db'),
    service('cache'),
    service('x'),
  ];
  expect(serviceStartOrder('web', services)).toEqual(['cache', 'db', 'api', 'web']);
});
