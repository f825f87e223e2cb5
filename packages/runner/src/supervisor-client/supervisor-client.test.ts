import { softwareVersion, supervisorProtocolVersion, toAtelierError } from '@atelier/api';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import { ProcessService } from '@atelier/api/atelier/process';
import {
  SupervisorService,
  SupervisorSpecSchema,
  SupervisorStatusSchema,
  WatchLogsResponseSchema,
} from '@atelier/api/atelier/supervisor';
import { EnvironmentOpsService } from '@atelier/api/supervisor/environment_ops';
import type { InstanceDriver, SupervisorLink } from '@atelier/driver';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { createClient, createRouterTransport, type ServiceImpl } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { logBasesOf } from '../log-bases.ts';
import { createLogs } from '../logs.ts';
import { ManualClock } from '@atelier/api/testing';
import { MemoryDisk } from '../testing/memory-storage.ts';
import { noteOnVersion } from './other-version.ts';
import { SupervisorClient } from './supervisor-client.ts';

const tick = async (): Promise<void> => {
  for (let count = 0; count < 6; count += 1) await new Promise((resolve) => setImmediate(resolve));
};

const id = '0190dddd-0000-7000-8000-000000000001';

/** A client whose supervisor is `service`; `dial` makes a connection and says whether it was ended. */
function makeClient(service: Partial<ServiceImpl<typeof SupervisorService>>) {
  const clock = new ManualClock();
  const disk = new MemoryDisk();
  const logs = createLogs(disk.logs, clock);
  let take: (link: SupervisorLink) => void = () => undefined;
  const listen: InstanceDriver['listen'] = async (_, onLink) => {
    take = onLink;
    return { close: async () => undefined };
  };
  const client = new SupervisorClient({
    clock,
    instances: { listen } as InstanceDriver,
    logs,
    environmentId: id,
    instanceName: `${id}-main-1`,
    logBases: (boot) => logBasesOf(disk.records, logs, id, boot),
    onChange: () => undefined,
  });
  const dial = async () => {
    await client.listen();
    const ending = new AbortController();
    const link: SupervisorLink = {
      transport: createRouterTransport((router) => router.service(SupervisorService, service)),
      closed: new Promise((resolve) => ending.signal.addEventListener('abort', () => resolve())),
      close: () => ending.abort(),
    };
    take(link);
    await tick();
    return ending.signal;
  };
  return { client, clock, disk, dial };
}

const hello = () => ({ protocolVersion: supervisorProtocolVersion, softwareVersion: '1', boot: 'boot-1' });

function forever(): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) };
}

async function* statusThen(status: MessageInitShape<typeof SupervisorStatusSchema>) {
  yield { status };
  yield* forever();
}

const honest = { hello, watchLogs: forever };

describe('a supervisor that breaks the form', () => {
  it.each<[string, MessageInitShape<typeof SupervisorStatusSchema>, string]>([
    ['too many services', { services: Array.from({ length: 300 }, () => ({})) }, '300 services'],
    ['too many ports', { ports: Array.from({ length: 2000 }, () => ({ port: 1 })) }, '2000 ports'],
    [
      'a time that no calendar has',
      { lifecycle: [{ startedAt: { seconds: 2n ** 60n } }] },
      'cannot be written down',
    ],
    ['an impossible port', { ports: [{ port: 70_000 }] }, 'the port 70000'],
    [
      'too many changed files',
      { git: { changedFiles: Array.from({ length: 200 }, () => ({})) } },
      'changed files',
    ],
  ])('%s: is disconnected, with a warning', async (_, status, warning) => {
    const { client, clock, dial } = makeClient({ ...honest, watchStatus: () => statusThen(status) });
    expect((await dial()).aborted).toBe(true);
    expect(client.warning).toContain(warning);
    expect(client.view()).toBeUndefined();
    expect((await dial()).aborted).toBe(true);
    clock.skipTo(clock.nowMs() + 10_000);
  });

  it('statuses without end', async () => {
    async function* flood() {
      for (;;) yield { status: {} };
    }
    const { client, dial } = makeClient({ ...honest, watchStatus: flood });
    const ended = await dial();
    for (let count = 0; count < 100 && !ended.aborted; count += 1) await tick();
    expect(ended.aborted).toBe(true);
    expect(client.warning).toContain('statuses without end');
  });

  it.each([
    ['a path as the name of a log', 'service/../../x', 0n],
    ["a log of the runner's own", 'step/content', 0n],
    ['an offset beyond every number', `service/${id}`, 2n ** 60n],
  ])('%s', async (_, log, offset) => {
    async function* logs() {
      yield create(WatchLogsResponseSchema, { log, offset, data: new Uint8Array(1) });
      yield* forever();
    }
    const { client, disk, dial } = makeClient({ hello, watchStatus: forever, watchLogs: logs });
    expect((await dial()).aborted).toBe(true);
    expect(client.warning).not.toBe('');
    expect(disk.logBytes.size).toBe(0);
  });

  it('another version of the protocol, a boot in another form, and silence', async () => {
    const other = makeClient({ ...honest, hello: () => ({ ...hello(), protocolVersion: 9 }) });
    expect((await other.dial()).aborted).toBe(true);
    expect(other.client.warning).toContain('version 9 of its protocol');
    const named = makeClient({ ...honest, hello: () => ({ ...hello(), boot: '../x' }) });
    expect((await named.dial()).aborted).toBe(true);
    const silent = makeClient({ ...honest, hello: () => new Promise(() => undefined) });
    const ended = await silent.dial();
    expect(ended.aborted).toBe(false);
    while (silent.clock.step(60_000)) await tick();
    expect(ended.aborted).toBe(true);
  });
});

describe('a supervisor of another version', () => {
  it.each([supervisorProtocolVersion - 1, supervisorProtocolVersion + 1])(
    'that answers with version %i of the protocol is taken',
    async (protocolVersion) => {
      const answer = { ...honest, hello: () => ({ ...hello(), protocolVersion }), watchStatus: forever };
      const { client, dial } = makeClient(answer);
      expect((await dial()).aborted).toBe(false);
      expect(client.view()).toMatchObject({ boot: 'boot-1' });
      expect(client.warning).toBe('');
    },
  );

  it('that is older and does not know a call: the call is refused with what to do', async () => {
    const older = {
      ...honest,
      hello: () => ({ ...hello(), softwareVersion: '0.0.1' }),
      watchStatus: forever,
    };
    const { client, dial } = makeClient(older);
    await dial();
    const transport = client.view()?.transport;
    if (!transport) expect.unreachable();
    const calls = [
      () => createClient(EnvironmentOpsService, transport).getGitStatus({}),
      async () => {
        for await (const _ of createClient(ProcessService, transport).run(forever()));
      },
    ];
    for (const call of calls) {
      const error = await call().catch(toAtelierError);
      expect(error).toMatchObject({
        code: 'failed_precondition',
        message: expect.stringMatching(/\(0\.0\.1\) does not know .*Stop and start the environment/),
      });
    }
    expect(noteOnVersion('0.0.1')).toContain('is older than the runner');
    expect(noteOnVersion('99.0.0')).toContain('is of another version than the runner');
    expect(noteOnVersion(softwareVersion)).toBe('');
  });
});

describe('an honest supervisor', () => {
  it('has long texts cut, is applied once it answers, and sends logs from where they ended', async () => {
    let revision = 0n;
    let answer = (): void => undefined;
    let offsets: Readonly<Record<string, bigint>> = {};
    const { client, disk, dial } = makeClient({
      hello,
      apply: ({ spec }) => {
        revision = spec?.revision ?? 0n;
        return {};
      },
      async *watchStatus() {
        yield { status: { userFailure: 'x'.repeat(10_000), lifecycle: [{ phase: StepPhase.RUNNING }] } };
        await new Promise<void>((resolve) => (answer = resolve));
        yield { status: { revision } };
        yield* forever();
      },
      async *watchLogs(request) {
        offsets = request.offsets;
        const offset = request.offsets[`service/${id}`] ?? 0n;
        yield create(WatchLogsResponseSchema, { log: `service/${id}`, offset, data: Buffer.from('more') });
        yield* forever();
      },
    });
    disk.logBytes.set(`${id}/service/${id}`, Buffer.from('before; some '));
    disk.documents.set(
      `${id}/log-bases`,
      JSON.stringify({ boot: 'boot-1', bases: { [`service/${id}`]: 8 } }),
    );
    expect((await dial()).aborted).toBe(false);
    expect(client.view()?.status?.userFailure.length).toBe(4096);
    expect(offsets).toEqual({ [`service/${id}`]: 5n });
    expect(Buffer.from(disk.logBytes.get(`${id}/service/${id}`) ?? []).toString()).toBe('before; some more');
    const spec = create(SupervisorSpecSchema, { user: 'somebody' });
    await client.apply(spec, new AbortController().signal);
    expect(client.isApplied(spec)).toBe(false);
    answer();
    await tick();
    expect(client.isApplied(spec)).toBe(true);
    expect(client.isApplied(create(SupervisorSpecSchema, { user: 'another' }))).toBe(false);
    await client.close();
    expect(client.view()).toBeUndefined();
  });

  it('of another boot has its logs appended to what the one before said', async () => {
    const { disk, dial } = makeClient({
      hello,
      watchStatus: forever,
      async *watchLogs(request) {
        const offset = request.offsets[`service/${id}`] ?? 0n;
        yield create(WatchLogsResponseSchema, { log: `service/${id}`, offset, data: Buffer.from('anew') });
        yield* forever();
      },
    });
    disk.logBytes.set(`${id}/service/${id}`, Buffer.from('a long log; '));
    await dial();
    expect(Buffer.from(disk.logBytes.get(`${id}/service/${id}`) ?? []).toString()).toBe('a long log; anew');
  });
});
