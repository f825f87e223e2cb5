import { timestampFromMs, durationFromMs } from '@bufbuild/protobuf/wkt';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ActivityKind, StepPhase } from '@atelier/api/atelier/environment_detail';
import {
  EnvironmentPhase,
  EnvironmentSchema,
  type EnvironmentSpecSchema,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
} from '@atelier/api/gitpod/environment';
import {
  ServicePhase,
  ServiceSchema,
  TaskExecutionPhase,
  TaskExecutionSchema,
  TaskSchema,
} from '@atelier/api/gitpod/environment_automation';
import { describe, expect, it } from 'vitest';
import { logTargetsOf } from '../log-target.ts';
import { lineOf } from './events.ts';
import { configuredPorts, parsePorts } from './forward.ts';
import { environmentTable } from './ls.ts';
import { describeEnvironment } from './status.ts';
import { taskTable } from './task.ts';

const nowMs = Date.parse('2026-11-22T12:00:00Z');
const environment = create(EnvironmentSchema, {
  id: '01a20327-276a-7c2c-a352-793bbbad71c6',
  metadata: { name: 'guestbook', originalContextUrl: 'file:///src/guestbook' },
  status: {
    phase: EnvironmentPhase.STARTING,
    warningMessage: ['"features" is not supported yet'],
    detail: {
      phaseSince: timestampFromMs(nowMs - 90_000),
      phaseDeadline: timestampFromMs(nowMs + 600_000),
      reason: 'postCreateCommand is running',
      steps: [
        {
          name: 'image',
          phase: StepPhase.SUCCEEDED,
          startedAt: timestampFromMs(nowMs - 90_000),
          took: durationFromMs(1_200),
          attempt: 1,
        },
        {
          name: 'lifecycle/postCreateCommand',
          phase: StepPhase.RUNNING,
          startedAt: timestampFromMs(nowMs - 75_000),
          attempt: 2,
          message: 'npm ci',
        },
      ],
      listeningPorts: [{ port: 5432, address: '127.0.0.1', processName: 'postgres' }],
      forwardPorts: [3000, 5432],
    },
  },
});
const service = create(ServiceSchema, {
  id: '01a20327-276a-7c2c-a352-000000000001',
  metadata: { reference: 'db', name: 'Database' },
  status: { phase: ServicePhase.RUNNING },
});
const task = create(TaskSchema, {
  id: '01a20327-276a-7c2c-a352-000000000002',
  metadata: { reference: 'test', name: 'Tests' },
});
const execution = create(TaskExecutionSchema, {
  id: '01a20327-276a-7c2c-a352-000000000003',
  metadata: { taskId: task.id, startedAt: timestampFromMs(nowMs - 5_000) },
  spec: {
    plan: [
      {
        steps: [
          { id: 's0', step: { case: 'serviceId', value: service.id } },
          { id: 's1', step: { case: 'task', value: { id: task.id } } },
        ],
      },
    ],
  },
  status: { phase: TaskExecutionPhase.RUNNING },
});

describe('what is printed', () => {
  it('ls', () => {
    expect(environmentTable([environment], nowMs)).toMatchInlineSnapshot(`
      "NAME       PHASE     SINCE       SOURCE                 ID
      guestbook  starting  1 min 30 s  file:///src/guestbook  01a20327-276a-7c2c-a352-793bbbad71c6
      "
    `);
  });

  it('ls of a recovery environment and of a failed one', () => {
    const { STOPPED, RUNNING } = EnvironmentPhase;
    const devcontainer = { phase: DevContainerPhase.FAILED };
    const recovery = create(EnvironmentSchema, { status: { phase: RUNNING, devcontainer } });
    const failed = create(EnvironmentSchema, { status: { phase: STOPPED, failureMessage: ['no image'] } });
    expect(environmentTable([recovery, failed], nowMs)).toMatch(
      /running \(recovery\).*\n.*stopped \(failed\)/,
    );
  });

  it('status of an environment that is on: why, and until when', () => {
    const { TASK, KEEP_ALIVE, TERMINAL_INPUT, CPU } = ActivityKind;
    const lines = (spec: MessageInitShape<typeof EnvironmentSpecSchema>, detail: object): string[] => {
      const running = create(EnvironmentSchema, { spec, status: { detail } });
      return describeEnvironment(running, [], nowMs).split('\n').slice(1, -1);
    };
    const since = timestampFromMs(nowMs - 185_000);
    const lastAt = timestampFromMs(nowMs - 180_000);
    const happened = [
      { kind: TERMINAL_INPUT, name: 'bash (pid 12)', lastAt },
      { kind: CPU, lastAt },
    ];
    const halfAnHour = { timeout: { disconnected: durationFromMs(1_800_000) } };
    const work = {
      activeBecause: [
        { kind: TASK, name: 'build', since },
        { kind: KEEP_ALIVE, name: 'training', since },
      ],
    };
    expect(lines(halfAnHour, work)).toEqual([
      'active because  task build has run for 3 min 5 s',
      '                kept alive by training for 3 min 5 s',
      'stops           30 min after the last activity',
    ]);
    const idle = { activeBecause: happened, idleStopAt: timestampFromMs(nowMs + 1_620_000) };
    expect(lines(halfAnHour, idle)).toEqual([
      'active because  terminal bash (pid 12) had input 3 min ago',
      '                processes used the CPU 3 min ago',
      'stops           2026-11-22T12:27:00.000Z (in 27 min) if nothing happens',
    ]);
    expect(lines({ timeout: {} }, { activeBecause: happened }).at(-1)).toBe(
      'stops           never by itself',
    );
  });

  it('status', () => {
    expect(describeEnvironment(environment, [service], nowMs)).toMatchInlineSnapshot(`
      "environment    guestbook
      id             01a20327-276a-7c2c-a352-793bbbad71c6
      source         file:///src/guestbook
      phase          starting
      why            postCreateCommand is running
      since          2026-11-22T11:58:30.000Z (1 min 30 s ago)
      until          2026-11-22T12:10:00.000Z (in 10 min)
      warnings       "features" is not supported yet
      forward ports  3000, 5432

      STEP                         STATE      TOOK        ATTEMPT  MESSAGE
      image                        succeeded  1.2 s
      lifecycle/postCreateCommand  running    1 min 15 s  2        npm ci

      SERVICE  STATE    NAME      MESSAGE
      db       running  Database

      PORT  ADDRESS    PROCESS
      5432  127.0.0.1  postgres
      "
    `);
  });

  it('task list', () => {
    expect(taskTable([task], [], nowMs)).toBe(
      'TASK  LAST RUN   TOOK  NAME   MESSAGE\ntest  never ran        Tests\n',
    );
    expect(taskTable([task], [execution], nowMs)).toContain('test  running   5.0 s');
  });

  it('events', () => {
    expect(lineOf({ case: 'environment', value: environment }, nowMs, 'table')).toBe(
      '2026-11-22T12:00:00.000Z  environment  guestbook  starting: postCreateCommand is running\n',
    );
    expect(JSON.parse(lineOf({ case: 'service', value: service }, nowMs, 'json'))).toMatchObject({
      time: '2026-11-22T12:00:00.000Z',
      service: { metadata: { reference: 'db' }, status: { phase: 'SERVICE_PHASE_RUNNING' } },
    });
  });
});

describe('logs', () => {
  const sources = { environment, services: [service], tasks: [task], executions: [execution] };

  it.each([
    [undefined, ['step/image', 'lifecycle/postCreateCommand']],
    ['db', [`service/${service.id}`]],
    ['service/db', [`service/${service.id}`]],
    ['test', [`task/${execution.id}/s1`]],
    ['image', ['step/image']],
    ['postCreateCommand', ['lifecycle/postCreateCommand']],
    ['lifecycle/postCreateCommand', ['lifecycle/postCreateCommand']],
    ['step/image', ['step/image']],
  ])('of %s are %j', (what, names) => {
    expect(logTargetsOf(sources, what).map(({ name }) => name)).toEqual(names);
  });

  it('of what is not there are refused with what there is', () => {
    expect(() => logTargetsOf(sources, 'web')).toThrow(
      'nothing here is called "web"; there are: services db; tasks test; steps image, postCreateCommand',
    );
    expect(() => logTargetsOf(sources, 'task/image')).toThrow('nothing here is called "task/image"');
    expect(() => logTargetsOf({ ...sources, executions: [] }, 'test')).toThrow(
      'task test has never run; start it with "atelier task start"',
    );
  });
});

describe('forward', () => {
  it.each([
    ['8080', 8080, 8080],
    ['8080:9090', 8080, 9090],
    ['8080:0', 8080, 0],
  ])('%s', (text, port, localPort) => expect(parsePorts(text)).toEqual({ port, localPort }));

  it('without a port takes those of the configuration, and says so when there is none', () => {
    expect(configuredPorts(environment)).toEqual([
      { port: 3000, localPort: 3000 },
      { port: 5432, localPort: 5432 },
    ]);
    expect(() => configuredPorts(create(EnvironmentSchema, { id: 'some-id' }))).toThrow(
      'the configuration of some-id has no forwardPorts: say which port, such as "atelier forward some-id 8080"',
    );
  });

  it.each(['', 'web', '0', '65536', '80:70000', '80:90:100'])('%s is refused', (text) => {
    expect(() => parsePorts(text)).toThrow('is no port: write 8080, or 8080:9090');
  });
});
