import { StepPhase } from '@atelier/api/atelier/environment_detail';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  EnvironmentPhase,
  EnvironmentSchema,
  EnvironmentStatus_AutomationsFile_Presence as Presence,
  EnvironmentStatus_ContentPhase as ContentPhase,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
} from '@atelier/api/gitpod/environment';
import {
  ServicePhase,
  ServiceSchema,
  TaskExecutionPhase,
  TaskExecutionSchema,
  TaskSchema,
} from '@atelier/api/gitpod/environment_automation';
import type { EnvironmentView } from '@atelier/sdk';
import { describe, expect, it } from 'vitest';
import { outcomeOf } from './outcome.ts';
import { UpProgress } from './progress.ts';

type Status = Exclude<
  NonNullable<MessageInitShape<typeof EnvironmentSchema>['status']>,
  { $typeName: string }
>;

const running: Status = {
  phase: EnvironmentPhase.RUNNING,
  runnerAck: { specVersion: 3n },
  devcontainer: { phase: DevContainerPhase.RUNNING, session: 'd1' },
  automationsFile: { phase: ContentPhase.READY, automationsFilePresence: Presence.DISCOVERED },
  detail: { boot: 'b1' },
};

function withCommand(name: string, phase: StepPhase): Status {
  const message = phase === StepPhase.FAILED ? 'exited with code 3' : '';
  return { ...running, detail: { boot: 'b1', steps: [{ name: `lifecycle/${name}`, phase, message }] } };
}

function viewOf(
  status: Status,
  parts: {
    services?: Parameters<typeof service>[];
    executions?: [phase: TaskExecutionPhase, boot: string][];
  } = {},
  desiredPhase = EnvironmentPhase.RUNNING,
): EnvironmentView {
  const environment = create(EnvironmentSchema, {
    metadata: { name: 'guestbook', runnerId: 'r' },
    spec: { desiredPhase, specVersion: 3n },
    status,
  });
  const services = (parts.services ?? []).map((facts) => service(...facts));
  const task = create(TaskSchema, { id: 't', metadata: { reference: 'test' } });
  const executions = (parts.executions ?? []).map(([phase, boot], index) =>
    create(TaskExecutionSchema, {
      id: `e${index}`,
      metadata: { taskId: 't', startedBy: `trigger/${boot}/d1` },
      status: { phase, failureMessage: phase === TaskExecutionPhase.FAILED ? 'exit code 2' : '' },
    }),
  );
  return {
    environment,
    services: new Map(services.map((each) => [each.id, each])),
    tasks: new Map([['t', task]]),
    executions: new Map(executions.map((each) => [each.id, each])),
  };
}

function service(reference: string, phase: ServicePhase, boot = 'b1', desired = ServicePhase.RUNNING) {
  const session = `${boot}/d1/trigger`;
  return create(ServiceSchema, {
    id: reference,
    metadata: { reference, triggeredBy: [{ trigger: { case: 'postEnvironmentStart', value: true } }] },
    spec: { desiredPhase: desired, session },
    status: { phase, session, failureMessage: phase === ServicePhase.FAILED ? 'exit code 1' : '' },
  });
}

const { RUNNING, STARTING, FAILED, STOPPED } = ServicePhase;

describe('outcomeOf', () => {
  it.each<[what: string, view: EnvironmentView, kind: string | undefined]>([
    ['it is starting', viewOf({ ...running, phase: EnvironmentPhase.STARTING }), undefined],
    [
      'the runner has not seen this spec yet',
      viewOf({ ...running, runnerAck: { specVersion: 2n } }),
      undefined,
    ],
    ['an older spec failed', viewOf({ failureMessage: ['x'], runnerAck: { specVersion: 2n } }), undefined],
    [
      'it runs and has no automations',
      viewOf({ ...running, automationsFile: { automationsFilePresence: Presence.ABSENT } }),
      'ready',
    ],
    [
      'nothing is known of automations yet',
      viewOf({ ...running, automationsFile: undefined } as never),
      'settling',
    ],
    [
      'a service starts',
      viewOf(running, {
        services: [
          ['db', RUNNING],
          ['web', STARTING],
        ],
      }),
      undefined,
    ],
    [
      'all services run',
      viewOf(running, {
        services: [
          ['db', RUNNING],
          ['web', RUNNING],
        ],
      }),
      'ready',
    ],
    [
      'a service was started by an earlier boot',
      viewOf(running, { services: [['db', STOPPED, 'b0', STOPPED]] }),
      'settling',
    ],
    ['somebody stopped a service', viewOf(running, { services: [['db', STOPPED, 'b1', STOPPED]] }), 'ready'],
    ['a task runs', viewOf(running, { executions: [[TaskExecutionPhase.RUNNING, 'b1']] }), undefined],
    [
      'a task of an earlier boot failed',
      viewOf(running, { executions: [[TaskExecutionPhase.FAILED, 'b0']] }),
      'ready',
    ],
  ])('when %s', (_, view, kind) => {
    expect(outcomeOf(view)?.kind).toBe(kind);
  });

  it.each<[what: string, view: EnvironmentView, message: string, advice: string | undefined]>([
    [
      'the environment failed',
      viewOf({ ...running, phase: EnvironmentPhase.STOPPED, failureMessage: ['the image does not exist'] }),
      'environment guestbook failed: the image does not exist',
      'atelier logs guestbook',
    ],
    [
      'the dev container failed',
      viewOf({
        ...running,
        devcontainer: { phase: DevContainerPhase.FAILED, failureMessage: 'build failed' },
      }),
      'environment guestbook runs in recovery: build failed',
      'atelier shell guestbook  (mend the configuration inside)',
    ],
    [
      'a life-cycle command failed',
      viewOf(withCommand('postCreateCommand', StepPhase.FAILED)),
      'environment guestbook runs, but postCreateCommand failed: exited with code 3',
      'atelier logs guestbook postCreateCommand',
    ],
    [
      'the automations file is wrong',
      viewOf({
        ...running,
        automationsFile: { phase: ContentPhase.FAILED, failureMessage: 'line 3: unknown key' },
      }),
      'environment guestbook runs, but its automations do not: line 3: unknown key',
      undefined,
    ],
    [
      'a service and a task failed',
      viewOf(running, { services: [['web', FAILED]], executions: [[TaskExecutionPhase.FAILED, 'b1']] }),
      'environment guestbook runs, but service web failed: exit code 1; task test failed: exit code 2',
      'atelier logs guestbook web',
    ],
    [
      'somebody stops it',
      viewOf(running, {}, EnvironmentPhase.STOPPED),
      'environment guestbook is being stopped by somebody',
      undefined,
    ],
    [
      'it vanishes',
      { ...viewOf(running), environment: undefined },
      'the environment was deleted meanwhile',
      undefined,
    ],
  ])('fails with words when %s', (_, view, message, advice) => {
    expect(outcomeOf(view)).toMatchObject({ kind: 'failed', message });
    expect((outcomeOf(view) as { advice?: string[] }).advice?.[0]).toBe(advice);
  });
});

describe('UpProgress', () => {
  it('leaves out steps of an earlier start and services that ran before it looked', () => {
    const progress = new UpProgress(1_000);
    const steps = [
      { name: 'image', phase: 3, startedAt: { seconds: 0n }, took: { seconds: 1n }, attempt: 1 },
      { name: 'lifecycle/postStartCommand', phase: 2, startedAt: { seconds: 2n }, attempt: 2 },
    ];
    const view = viewOf(
      { ...running, detail: { boot: 'b1', steps } },
      {
        services: [
          ['db', RUNNING],
          ['web', STARTING],
        ],
      },
    );
    expect(progress.stepsOf(view, 3_000).map(({ label, state }) => `${label} ${state}`)).toEqual([
      'postStartCommand (attempt 2) running',
      'service web running',
    ]);
    view.services.set('web', service('web', RUNNING));
    const web = progress.stepsOf(view, 5_000).at(-1);
    expect(web).toMatchObject({
      label: 'service web',
      state: 'succeeded',
      startedAtMs: 3_000,
      tookMs: 2_000,
    });
  });
});
