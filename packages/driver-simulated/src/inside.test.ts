import { makeId } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import { ProcessService, RunRequestSchema, type RunRequest } from '@atelier/api/atelier/process';
import {
  SupervisorService,
  SupervisorSpecSchema,
  type SupervisorStatus,
} from '@atelier/api/atelier/supervisor';
import { ServicePhase, TaskExecutionPhase } from '@atelier/api/gitpod/environment_automation';
import type { SupervisorLink } from '@atelier/driver';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { describe, expect, it, vi } from 'vitest';
import type { SimulatedBehaviour } from './behaviour.ts';
import { createSimulatedDriver } from './driver.ts';
import { SimulatedMachine } from './machine.ts';

const url = 'https://example.com/planted.git';

async function inside(behaviour: Partial<SimulatedBehaviour> = {}) {
  const options = { clock: systemClock, random: systemRandom };
  const repositories = {
    [url]: {
      '.devcontainer/devcontainer.json': '{"image": "localhost/a"}',
      '.gitpod/automations.yaml': '{"services": {"db": {"name": "db", "commands": {"start": "x"}}}}',
    },
  };
  const machine = new SimulatedMachine({ ...options, behaviour, repositories });
  const driver = createSimulatedDriver({ ...options, machine });
  const id = makeId(systemClock.nowMs(), systemRandom);
  await driver.disks.ensure(id);
  await driver.disks.ensureGeneration(id, 1, machine.addImage('localhost/a'));
  const name = `${id}-main-1`;
  const links: SupervisorLink[] = [];
  await driver.instances.listen(name, (link) => void links.push(link));
  const start = (): Promise<unknown> =>
    driver.instances.start({
      name,
      environmentId: id,
      root: { kind: 'disk', generation: 1 },
      mounts: [{ kind: 'workspace', target: '/workspaces/planted' }],
      network: 'none',
      environment: { ATELIER_BOOT: 'one' },
      hostname: 'a',
      limits: { cpuWeight: 100, memoryBytesMax: 1, processesMax: 1 },
    });
  await start();
  const link = async (count = 1): Promise<SupervisorLink> => {
    await vi.waitFor(() => expect(links.length).toBeGreaterThanOrEqual(count));
    return links[count - 1] as SupervisorLink;
  };
  return { machine, driver, id, name, links, link, start };
}

async function statusWhen(link: SupervisorLink, holds: (status: SupervisorStatus) => boolean) {
  const client = createClient(SupervisorService, link.transport);
  for await (const { status } of client.watchStatus({}, { timeoutMs: 10_000 })) {
    if (status !== undefined && holds(status)) return status;
  }
  expect.unreachable('the status stream ended');
}

type Message = NonNullable<MessageInitShape<typeof RunRequestSchema>['message']>;

async function run(link: SupervisorLink, messages: Message[]) {
  async function* requests(): AsyncIterable<RunRequest> {
    for (const message of messages) yield create(RunRequestSchema, { message });
  }
  const client = createClient(ProcessService, link.transport);
  let stdout = '';
  let stderr = '';
  for await (const { message } of client.run(requests(), { timeoutMs: 10_000 })) {
    if (message.case === 'output') {
      const text = new TextDecoder().decode(message.value.data);
      if (message.value.stream === 1) stdout += text;
      else stderr += text;
    }
    if (message.case === 'exited') return { exit: message.value, stdout, stderr };
  }
  expect.unreachable('the process stream ended without an exit');
}

const started = (processId: string, ...words: string[]): Message => ({
  case: 'start',
  value: { processId, arguments: words },
});

describe('a simulated supervisor', () => {
  it('runs life-cycle commands once per session, in order, and says so', async () => {
    const { link, driver, name, start } = await inside({ lifecycleMs: 1 });
    const spec = create(SupervisorSpecSchema, {
      revision: 7n,
      lifecycle: [
        { name: 'onCreateCommand', session: 's1' },
        { name: 'postCreateCommand', session: 's1' },
      ],
    });
    const first = await link();
    await createClient(SupervisorService, first.transport).apply({ spec });
    const done = await statusWhen(first, ({ lifecycle }) =>
      lifecycle.every((each) => each.phase === StepPhase.SUCCEEDED),
    );
    expect(done.revision).toBe(7n);
    const logs = createClient(SupervisorService, first.transport).watchLogs({}, { timeoutMs: 10_000 });
    const names: string[] = [];
    for await (const { log } of logs) {
      names.push(log);
      if (names.length === 2) break;
    }
    expect(names).toEqual(['lifecycle/onCreateCommand', 'lifecycle/postCreateCommand']);
    await driver.instances.stop(name, 0);
    await start();
    const second = await link(2);
    await createClient(SupervisorService, second.transport).apply({ spec });
    const status = await statusWhen(second, ({ revision }) => revision === 7n);
    expect(status?.lifecycle.map((each) => each.phase)).toEqual([StepPhase.SUCCEEDED, StepPhase.SUCCEEDED]);
  });

  it('stops at a command that fails', async () => {
    const { link } = await inside({ lifecycleExitCode: (name) => (name === 'onCreateCommand' ? 3 : 0) });
    const spec = {
      revision: 1n,
      lifecycle: [
        { name: 'onCreateCommand', session: 's' },
        { name: 'postCreateCommand', session: 's' },
      ],
    };
    const first = await link();
    await createClient(SupervisorService, first.transport).apply({ spec });
    const status = await statusWhen(first, ({ lifecycle }) => lifecycle[0]?.phase === StepPhase.FAILED);
    expect(status?.lifecycle).toMatchObject([{ exitCode: 3 }, { phase: StepPhase.PENDING }]);
  });

  it('brings services up and executions to their end, and stops both', async () => {
    const { link } = await inside({ serviceReadyMs: 2, executionMs: 2 });
    const client = createClient(SupervisorService, (await link()).transport);
    const executions = [{ id: 'e', spec: { plan: [{ steps: [{ id: 'step' }] }] } }];
    const service = (desiredPhase: ServicePhase) => [{ id: 's', spec: { desiredPhase, session: 'x' } }];
    await client.apply({ spec: { revision: 1n, services: service(ServicePhase.RUNNING), executions } });
    const up = await statusWhen(
      await link(),
      (status) =>
        status.services[0]?.status?.phase === ServicePhase.RUNNING &&
        status.executions[0]?.status?.phase === TaskExecutionPhase.SUCCEEDED,
    );
    expect(up?.executions[0]?.status?.steps).toMatchObject([{ id: 'step', phase: 3 }]);
    await client.apply({ spec: { revision: 2n, services: service(ServicePhase.STOPPED), executions } });
    await statusWhen(await link(), ({ services }) => services[0]?.status?.phase === ServicePhase.STOPPED);
    await client.shutdown({});
  });

  it('that never dials, breaks its link or dies does so as it was told', async () => {
    const silent = await inside({ linkNeverProbability: 1 });
    expect((await silent.driver.instances.inspect(silent.name))?.state).toBe('running');
    expect(silent.links).toEqual([]);
    const dropping = await inside({ linkDropProbability: 1, linkDropWithinMs: 5 });
    await (
      await dropping.link(1)
    ).closed;
    await dropping.link(2);
    dropping.machine.behaviour.linkDropProbability = 0;
    const dying = await inside({ deathProbability: 1, deathWithinMs: 5 });
    await (
      await dying.link()
    ).closed;
    expect(await dying.driver.instances.inspect(dying.name)).toMatchObject({ state: 'ended', end: 'killed' });
    await Promise.all([silent, dropping, dying].map(({ driver, name }) => driver.instances.remove(name)));
  });
});

describe('simulated processes', () => {
  it('clone into the workspace, and the files are read there', async () => {
    const { machine, link, id } = await inside();
    const clone = ['git', 'clone', '--progress', '--', url, '.'];
    expect((await run(await link(), [started('p1', ...clone)]))?.exit.exitCode).toBe(0);
    expect([...(machine.disks.get(id)?.workspace.keys() ?? [])]).toContain('.devcontainer/devcontainer.json');
    const cat = await run(await link(), [started('p2', 'cat', '.devcontainer/devcontainer.json')]);
    expect(cat?.stdout).toBe('{"image": "localhost/a"}');
    expect((await run(await link(), [started('p3', ...clone)]))?.exit.exitCode).toBe(128);
    expect((await run(await link(), [started('p4', 'git', 'config', 'a', 'b')]))?.exit.exitCode).toBe(0);
    const client = createClient(SupervisorService, (await link()).transport);
    await client.apply({ spec: { revision: 1n, automationsSession: 'a' } });
    const status = await statusWhen(await link(), (each) => each.automationsFile !== undefined);
    expect(status?.automationsFile?.path).toBe('.gitpod/automations.yaml');
    expect(Object.keys(status?.automationsFile?.file?.services ?? {})).toEqual(['db']);
  });

  it('fail as real ones do', async () => {
    const { link } = await inside();
    const missing = ['git', 'clone', '--', 'https://example.com/missing.git', '.'];
    const clone = await run(await link(), [started('p1', ...missing)]);
    expect(clone).toMatchObject({ exit: { exitCode: 128 } });
    expect(clone?.stderr).toContain('not found');
    const unknown = await run(await link(), [started('p2', 'frobnicate')]);
    expect(unknown?.exit).toMatchObject({ exitCode: 127, failureMessage: /frobnicate/ });
    expect((await run(await link(), [started('p3', 'false')]))?.exit.exitCode).toBe(1);
    expect((await run(await link(), [started('p4', '/bin/sh', '-c', 'exit 42')]))?.exit.exitCode).toBe(42);
  });

  it('take input once by its sequence, and are attached to by their id', async () => {
    const { link } = await inside();
    const input = (sequence: bigint, text: string, end = false): Message => ({
      case: 'input',
      value: { sequence, data: new TextEncoder().encode(text), end },
    });
    const messages = [started('p', 'cat'), input(1n, 'a'), input(1n, 'a'), input(2n, 'b', true)];
    expect((await run(await link(), messages))?.stdout).toBe('ab');
    expect((await run(await link(), [started('p', 'cat')]))?.stdout).toBe('ab');
    const attach: Message = { case: 'attach', value: { processId: 'p', stdoutOffset: 1n } };
    expect((await run(await link(), [attach]))?.stdout).toBe('b');
  });

  it('that are under way are lost with the instance, and the call says unavailable', async () => {
    const { link, driver, name } = await inside();
    const sleeping = run(await link(), [started('p', 'sleep', '1000')]);
    const client = createClient(ProcessService, (await link()).transport);
    await vi.waitFor(async () => expect((await client.listProcesses({})).processes).toHaveLength(1));
    await driver.instances.remove(name);
    await expect(sleeping).rejects.toMatchObject({ code: 14 });
  });

  it('end on a signal', async () => {
    const { link } = await inside();
    const sleeping = run(await link(), [started('p', 'sleep', '1000')]);
    const client = createClient(ProcessService, (await link()).transport);
    await vi.waitFor(async () => expect((await client.listProcesses({})).processes).toHaveLength(1));
    await client.signalProcess({ processId: 'p', signal: 'SIGTERM' });
    expect((await sleeping)?.exit).toMatchObject({ exitCode: 137, signal: 'SIGTERM' });
  });
});
