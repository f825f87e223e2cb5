import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@atelier/api';
import {
  ServicePhase,
  TaskExecutionPhase,
  type ServiceStatus,
} from '@atelier/api/gitpod/environment_automation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { specOf, startTrial, statusWhen, type Trial, type TrialClients } from '../trial.ts';

/** Deadlines of minutes in fractions of a second; processes inside go on at their own pace. */
const speed = 100;
const fastClock: Clock = {
  nowMs: () => Date.now() * speed,
  timer(afterMs, fire) {
    const handle = setTimeout(fire, afterMs / speed);
    return { cancel: () => clearTimeout(handle) };
  },
};

let trial: Trial;
let clients: TrialClients;
let revision = 0n;
beforeAll(async () => {
  trial = await startTrial({ clock: fastClock });
  clients = await trial.connect();
});
afterAll(() => trial.close());

type Commands = { start: string; ready?: string; stop?: string };

async function apply(parts: Parameters<typeof specOf>[1]): Promise<void> {
  revision += 1n;
  await clients.supervisor.apply({ spec: specOf(trial.folder, { revision, ...parts }) });
}

const serviceOf = (id: string, commands: Commands, desiredPhase: ServicePhase, readinessSeconds = 0) => ({
  id,
  spec: { desiredPhase, session: 'one', commands, readinessTimeout: { seconds: BigInt(readinessSeconds) } },
});

async function serviceWhen(id: string, phase: ServicePhase): Promise<ServiceStatus> {
  const isThere = (status: Awaited<ReturnType<typeof statusWhen>>): ServiceStatus | undefined =>
    status.services.find((each) => each.serviceId === id && each.status?.phase === phase)?.status;
  return isThere(await statusWhen(clients, (status) => isThere(status) !== undefined))!;
}

// Written by the command once its traps are set, so that no signal comes before them.
const upAs = (name: string): string => `touch ${name}; while :; do sleep 0.02; done`;
const isUp = (name: string): Promise<void> =>
  expect.poll(() => existsSync(join(trial.folder, name)), { timeout: 10_000, interval: 10 }).toBe(true);

describe('a service', () => {
  it.each<[what: string, commands: Commands, phase: ServicePhase, message: string]>([
    ['ends on SIGTERM: STOPPED', { start: upAs('a') }, ServicePhase.STOPPED, ''],
    [
      'ignores SIGTERM, is killed: STOPPED',
      { start: `trap '' TERM; ${upAs('b')}` },
      ServicePhase.STOPPED,
      '',
    ],
    [
      'has a stop command: STOPPED',
      { start: `trap '' TERM; ${upAs('c')}`, stop: 'true' },
      ServicePhase.STOPPED,
      '',
    ],
    [
      'has a stop command that fails: FAILED',
      { start: upAs('d'), stop: 'exit 6' },
      ServicePhase.FAILED,
      'its stop command exited with code 6',
    ],
  ])('that %s', async (_what, commands, phase, message) => {
    const id = /touch (\w)/.exec(commands.start)![1]!;
    await apply({ services: [serviceOf(id, commands, ServicePhase.RUNNING)] });
    await isUp(id);
    await apply({ services: [serviceOf(id, commands, ServicePhase.STOPPED)] });
    expect((await serviceWhen(id, phase)).failureMessage).toBe(message);
  });

  it('that exits by itself is STOPPED or FAILED by its code', async () => {
    const services = [
      serviceOf('zero', { start: 'true' }, ServicePhase.RUNNING),
      serviceOf('three', { start: 'exit 3' }, ServicePhase.RUNNING),
    ];
    await apply({ services });
    await serviceWhen('zero', ServicePhase.STOPPED);
    expect((await serviceWhen('three', ServicePhase.FAILED)).failureMessage).toBe(
      'its start command exited with code 3',
    );
  });

  it('that is never ready FAILED at its timeout and is ended', async () => {
    const commands = { start: `echo $$ > late.pid; ${upAs('late')}`, ready: 'test -e never' };
    await apply({ services: [serviceOf('late', commands, ServicePhase.RUNNING, 60)] });
    expect((await serviceWhen('late', ServicePhase.FAILED)).failureMessage).toBe(
      'was not ready within 60 s of its start',
    );
  });

  it('is STARTING until its check succeeds, which is asked again and again', async () => {
    const commands = { start: upAs('slow'), ready: 'echo x >> checks; test -e go' };
    await apply({ services: [serviceOf('slow', commands, ServicePhase.RUNNING)] });
    await serviceWhen('slow', ServicePhase.STARTING);
    await isUp('checks');
    writeFileSync(join(trial.folder, 'go'), '');
    await serviceWhen('slow', ServicePhase.RUNNING);
  });
});

describe('a task that is stopped', () => {
  it.each([
    ['ends on SIGTERM: STOPPED', upAs('soft'), TaskExecutionPhase.STOPPED, ''],
    [
      'ignores SIGTERM: FAILED after ten seconds',
      `trap '' TERM; ${upAs('hard')}`,
      TaskExecutionPhase.FAILED,
      'its command did not end within 10 s of SIGTERM and was killed',
    ],
  ])('and %s', async (_what, command, phase, message) => {
    const id = /touch (\w+)/.exec(command)![1]!;
    const step = { id: 'step', step: { case: 'task' as const, value: { id: 'task', spec: { command } } } };
    const execution = (desiredPhase: TaskExecutionPhase) => [
      { id, spec: { plan: [{ steps: [step] }], desiredPhase } },
    ];
    await apply({ executions: execution(TaskExecutionPhase.RUNNING) });
    await isUp(id);
    await apply({ executions: execution(TaskExecutionPhase.STOPPED) });
    const status = await statusWhen(clients, ({ executions }) => executions[0]?.status?.phase === phase);
    expect(status.executions[0]?.status?.steps[0]?.failureMessage).toBe(message);
  });
});
