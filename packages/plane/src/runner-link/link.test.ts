import { runnerProtocolVersion } from '@atelier/api';
import { AutomationsFileSchema, ServicePhase } from '@atelier/api/gitpod/environment_automation';
import {
  EnvironmentPhase,
  EnvironmentStatus_Machine_Phase as MachinePhase,
} from '@atelier/api/gitpod/environment';
import { EnvironmentService } from '@atelier/api/gitpod/environment';
import { EnvironmentAutomationService } from '@atelier/api/gitpod/environment_automation';
import { RunnerPhase } from '@atelier/api/gitpod/runner';
import { startEmbeddedTestServer, stopTestServer, type TestServer } from '@atelier/store/testing';
import { create } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { newId } from '../context.ts';
import { runningStatus, statusOf, type FakeRunner } from '../testing/fake-runner.ts';
import { startTestPlane, type TestPlane } from '../testing/test-plane.ts';

const patient = { timeout: 20_000 };
const until = (check: () => unknown): Promise<unknown> => vi.waitFor(check, patient);

let server: TestServer;
let test: TestPlane;

beforeAll(async () => {
  server = await startEmbeddedTestServer();
});
afterAll(() => stopTestServer(server));
beforeEach(async () => {
  test = await startTestPlane(server);
});
afterEach(() => test.stop());

const environments = () => test.client(EnvironmentService);
const automations = () => test.client(EnvironmentAutomationService);

async function create_(name: string): Promise<string> {
  const { environment } = await environments().createEnvironment({ name });
  return environment?.id ?? '';
}

async function environment(id: string) {
  return (await test.store.get('environment', id))?.value;
}

/** An environment on a runner that knows of it and says nothing by itself. */
async function placed(name = 'one', connected?: FakeRunner): Promise<{ id: string; runner: FakeRunner }> {
  const runner = connected ?? test.connect();
  const id = await create_(name);
  await until(() => expect(runner.desired.has(id)).toBe(true));
  return { id, runner };
}

const runnerPhase = async () => (await test.store.get('runner', test.runnerId))?.value.status?.phase;
const newest = (runner: FakeRunner): bigint => runner.changes().at(-1)?.revision ?? 0n;

describe('a runner that connects', () => {
  it('is welcomed, told everything, and shown as active until it goes', async () => {
    const id = await create_('before');
    const runner = test.connect({ overPort: true });
    await until(() => expect(runner.desired.has(id)).toBe(true));
    const [welcome, first] = runner.responses;
    expect(welcome?.message).toMatchObject({ case: 'welcome', value: { leaseEpoch: 1n, local: true } });
    expect(first?.message).toMatchObject({ case: 'desired', value: { whole: true } });
    await until(async () => expect(await runnerPhase()).toBe(RunnerPhase.ACTIVE));
    await runner.close();
    await until(async () => expect(await runnerPhase()).toBe(RunnerPhase.INACTIVE));
  });

  it('with its last revision is told what it missed and nothing else', async () => {
    const { id, runner } = await placed();
    const other = await placed('two', runner);
    await runner.close();
    await environments().stopEnvironment({ environmentId: id });
    const again = test.connect({ acknowledgedRevision: newest(runner) });
    await until(() => expect(again.desired.has(id)).toBe(true));
    expect(again.changes()[0]).toMatchObject({ whole: false });
    expect(again.desired.has(other.id)).toBe(false);
    expect(again.desired.get(id)?.environment?.spec?.desiredPhase).toBe(EnvironmentPhase.STOPPED);
  });

  it('with a revision whose deletions are forgotten is told everything', async () => {
    const { runner } = await placed();
    const before = newest(runner);
    await runner.close();
    const { environment: gone } = await environments().createEnvironment({ name: 'gone' });
    await test.store.delete('environment', gone?.id ?? '');
    await test.store.prune(await test.store.revision());
    const again = test.connect({ acknowledgedRevision: before });
    await until(() => expect(again.changes()[0]).toMatchObject({ whole: true }));
  });

  it('ends its own earlier connection, whose reports count no more', async () => {
    const { id, runner: first } = await placed();
    const second = test.connect();
    expect(await first.ended).toBeUndefined();
    await until(() => expect(second.epoch).toBe(first.epoch + 1n));
    await until(async () => expect(await runnerPhase()).toBe(RunnerPhase.ACTIVE));
    second.report(id, { leaseEpoch: first.epoch, status: statusOf(MachinePhase.DELETED) });
    second.report(id, { status: statusOf(MachinePhase.STARTING) });
    await until(async () =>
      expect((await environment(id))?.status?.machine?.phase).toBe(MachinePhase.STARTING),
    );
  });

  it.each([runnerProtocolVersion - 1, runnerProtocolVersion, runnerProtocolVersion + 1])(
    'and speaks version %i of the protocol is welcomed in the lower version of both',
    async (protocolVersion) => {
      const runner = test.connect({ protocolVersion } as never);
      await until(() => expect(runner.responses.length).toBeGreaterThan(0));
      const lower = Math.min(protocolVersion, runnerProtocolVersion);
      expect(runner.responses[0]?.message).toMatchObject({ value: { protocolVersion: lower } });
    },
  );

  it.each([
    [
      'of another plane',
      { planeId: '01900000-0000-7000-8000-000000000000' },
      'failed_precondition',
      /belongs to plane/,
    ],
    [
      'by another name',
      { runnerId: '01900000-0000-7000-8000-000000000000' },
      'permission_denied',
      /the token is runner/,
    ],
    ['of another protocol', { protocolVersion: 99 }, 'failed_precondition', /update the older one/],
  ])('%s is refused', async (_what, hello, code, message) => {
    const refused = await test.connect(hello as never).ended;
    expect(refused).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await runnerPhase()).toBe(RunnerPhase.CREATED);
  });
});

describe('what a runner reports', () => {
  it('of an environment that is not its own is dropped', async () => {
    const runner = test.connect();
    const foreign = newId(test.plane.context);
    const { id } = await placed('ours', runner);
    const row = await test.store.get('environment', id);
    if (!row?.value.metadata) expect.unreachable();
    const value = { ...row.value, id: foreign, metadata: { ...row.value.metadata, runnerId: 'another' } };
    await test.store.create('environment', { id: foreign, organizationId: row.organizationId, value });
    runner.report(foreign, { gone: true, status: statusOf(MachinePhase.DELETED) });
    await until(() =>
      expect(test.logged.map(({ message }) => message)).toContain(
        'a runner reported about an environment that is not its own',
      ),
    );
    expect((await environment(foreign))?.status?.machine).toBeUndefined();
  });

  it('gives the phase, which is written once for the same report', async () => {
    const { id, runner } = await placed();
    runner.report(id, { status: runningStatus() });
    await until(async () => expect((await environment(id))?.status?.phase).toBe(EnvironmentPhase.RUNNING));
    const revision = (await test.store.get('environment', id))?.revision;
    runner.report(id, { status: runningStatus() });
    const other = await placed('marker', runner);
    runner.report(other.id, { status: statusOf(MachinePhase.STARTING) });
    await until(async () => expect((await environment(other.id))?.status?.machine).toBeDefined());
    expect((await test.store.get('environment', id))?.revision).toBe(revision);
  });

  it('as gone deletes only what is to be deleted', async () => {
    const { id, runner } = await placed();
    runner.report(id, { gone: true });
    runner.report(id, { status: runningStatus() });
    await until(async () => expect((await environment(id))?.status?.phase).toBe(EnvironmentPhase.RUNNING));
    await environments().deleteEnvironment({ environmentId: id });
    await until(() =>
      expect(runner.desired.get(id)?.environment?.spec?.desiredPhase).toBe(EnvironmentPhase.DELETED),
    );
    runner.report(id, { gone: true });
    await until(async () => expect(await environment(id)).toBeUndefined());
    await until(() => expect(runner.changes().at(-1)?.forgottenIds).toEqual([id]));
  });

  it('as stopped for idleness becomes the wish', async () => {
    const { id, runner } = await placed();
    runner.report(id, { status: runningStatus() });
    const idle = statusOf(MachinePhase.STOPPING);
    const session = runner.desired.get(id)?.environment?.spec?.machine?.session ?? '';
    Object.assign(idle.machine ?? {}, { timeout: 'nobody worked for 30 minutes', session });
    runner.report(id, { status: idle });
    await until(async () =>
      expect((await environment(id))?.spec?.desiredPhase).toBe(EnvironmentPhase.STOPPED),
    );
    await environments().startEnvironment({ environmentId: id });
    // The runner has not heard of it yet: what it says is about the run before.
    runner.report(id, { status: idle });
    runner.report(id, { status: runningStatus('second') });
    await until(async () => expect((await environment(id))?.status?.phase).toBe(EnvironmentPhase.RUNNING));
  });

  it('that cannot be written does not end the connection', async () => {
    const { id, runner } = await placed();
    const zero = statusOf(MachinePhase.STARTING);
    zero.failureMessage = ['a zero \0 in it'];
    runner.report(id, { status: zero });
    runner.report(id, { status: runningStatus() });
    await until(async () => expect((await environment(id))?.status?.phase).toBe(EnvironmentPhase.RUNNING));
  });
});

describe('an automations file that a runner reports', () => {
  const file = create(AutomationsFileSchema, {
    services: {
      database: { name: 'Database', commands: { start: 'postgres' }, triggeredBy: ['postEnvironmentStart'] },
      web: { name: 'Web', commands: { start: 'serve' }, dependsOn: ['database'] },
    },
    tasks: {
      build: { name: 'Build', command: 'make' },
      test: {
        name: 'Test',
        command: 'make test',
        dependsOn: ['build', 'web'],
        triggeredBy: ['postEnvironmentStart'],
      },
    },
  });
  const reported = { automationsFile: { session: 'one', file } };
  const everything = async () => {
    const [services, tasks, executions] = await Promise.all([
      test.store.list('service', {}),
      test.store.list('task', {}),
      test.store.list('taskExecution', {}),
    ]);
    return { services: services.rows, tasks: tasks.rows, executions: executions.rows };
  };

  it('makes services and tasks by key, once, with what they depend on', async () => {
    const { id, runner } = await placed();
    runner.report(id, reported);
    await until(async () => expect((await everything()).tasks).toHaveLength(2));
    const before = await everything();
    const { services, tasks } = before;
    const byReference = (rows: typeof services | typeof tasks, reference: string) =>
      rows.find(({ value }) => value.metadata?.reference === reference)?.value;
    expect(byReference(services, 'web')?.metadata?.dependencies).toMatchObject({ dependsOn: ['database'] });
    expect(byReference(tasks, 'test')).toMatchObject({
      dependsOn: [byReference(tasks, 'build')?.id],
      metadata: { dependencies: { dependsOnServices: ['web'] } },
    });
    runner.report(id, reported);
    runner.report(id, { status: statusOf(MachinePhase.STARTING) });
    await until(async () =>
      expect((await environment(id))?.status?.machine?.phase).toBe(MachinePhase.STARTING),
    );
    expect(await everything()).toEqual(before);
    const upserted = await automations().upsertAutomationsFile({ environmentId: id, automationsFile: file });
    expect(upserted).toMatchObject({ updatedServiceIds: [], updatedTaskIds: [] });
  });

  it('fires its triggers once in each boot', async () => {
    const { id, runner } = await placed();
    runner.report(id, { ...reported, status: runningStatus('first') });
    const started = async (count: number): Promise<void> => {
      await until(async () => expect((await everything()).executions).toHaveLength(count));
      const { services } = await everything();
      const wished = services.map(({ value }) => [value.metadata?.reference, value.spec?.desiredPhase]);
      expect(new Map(wished as [string, ServicePhase][]).get('database')).toBe(ServicePhase.RUNNING);
    };
    await started(1);
    runner.report(id, { ...reported, status: runningStatus('first') });
    await automations().upsertAutomationsFile({ environmentId: id, automationsFile: file });
    await environments().updateEnvironment({ environmentId: id, metadata: { name: 'touched' } });
    await started(1);
    runner.report(id, { ...reported, status: runningStatus('second') });
    await started(2);
  });
});

describe('an environment without a runner', () => {
  it('says why it waits, and goes when it is deleted', async () => {
    const id = await create_('waiting');
    await until(async () =>
      expect((await environment(id))?.status?.detail?.reason).toBe(
        'No runner is ready: This machine is not connected.',
      ),
    );
    expect((await environment(id))?.status?.failureMessage).toEqual([]);
    await environments().deleteEnvironment({ environmentId: id });
    await until(async () => expect(await environment(id)).toBeUndefined());
  });

  it('that names a class which does not exist says so', async () => {
    const environmentClass = newId(test.plane.context);
    const { environment: made } = await environments().createEnvironment({
      spec: { machine: { class: environmentClass } },
    });
    await until(async () =>
      expect((await environment(made?.id ?? ''))?.status?.detail?.reason).toBe(
        `There is no environment class ${environmentClass}. Choose another one.`,
      ),
    );
  });

  it('is placed when a runner comes', async () => {
    const id = await create_('waiting');
    const runner = test.connect({ moves: true });
    await until(async () => expect((await environment(id))?.status?.phase).toBe(EnvironmentPhase.RUNNING));
    expect(runner.desired.get(id)?.environmentClass?.displayName).toBe('Regular');
  });
});
