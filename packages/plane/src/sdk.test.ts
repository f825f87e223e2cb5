import type Gitpod from '@gitpod/sdk';
import { AuthenticationError, BadRequestError, InternalServerError, NotFoundError } from '@gitpod/sdk';
import { runCommand } from '@gitpod/sdk/lib/automation';
import { EnvironmentState, findMostUsedEnvironmentClass } from '@gitpod/sdk/lib/environment';
import { startEmbeddedTestServer, stopTestServer, type TestServer } from '@atelier/store/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FakeRunner } from './testing/fake-runner.ts';
import { publicClient } from './testing/public-client.ts';
import { makeStranger, startTestPlane, type TestPlane } from './testing/test-plane.ts';

const unknownId = '01900000-0000-7000-8000-000000000000';
const contextUrl = 'https://example.test/team/guestbook';

let server: TestServer;
let plane: TestPlane;
let runner: FakeRunner;
let client: Gitpod;

beforeAll(async () => {
  server = await startEmbeddedTestServer();
});
afterAll(() => stopTestServer(server));
beforeEach(async () => {
  plane = await startTestPlane(server);
  client = publicClient(plane.url, plane.token);
  runner = plane.connect({ moves: true, overPort: true });
});
afterEach(() => plane.stop());

async function create(url = contextUrl): Promise<string> {
  const { environment } = await client.environments.create({
    spec: { content: { initializer: { specs: [{ contextUrl: { url } }] } } },
  });
  return environment.id;
}

const patient = { timeout: 20_000 };

const reaches = (environmentId: string, phase: string): Promise<void> =>
  vi.waitFor(async () => {
    const { environment } = await client.environments.retrieve({ environmentId });
    expect(environment.status?.phase).toBe(`ENVIRONMENT_PHASE_${phase}`);
  }, patient);

describe('the unmodified public client', () => {
  it('learns who it is', async () => {
    const { subject, organizationId } = await client.identity.getAuthenticatedIdentity({});
    expect(subject).toEqual({ id: plane.user.id, principal: 'PRINCIPAL_USER' });
    expect(organizationId).toBe(plane.user.organizationId);
  });

  it('creates an environment, sees it run, stop, start and go', async () => {
    const id = await create();
    const state = new EnvironmentState(client, id);
    await state.waitUntilRunning();
    const environment = await state.getEnvironment();
    expect(environment.metadata).toMatchObject({ name: 'guestbook', originalContextUrl: contextUrl });
    await client.environments.stop({ environmentId: id });
    await state.waitUntil((each) => each.status?.phase === 'ENVIRONMENT_PHASE_STOPPED' || undefined);
    await client.environments.start({ environmentId: id });
    await state.waitUntil((each) => each.status?.phase === 'ENVIRONMENT_PHASE_RUNNING' || undefined);
    await state.close();
    await client.environments.delete({ environmentId: id });
    await vi.waitFor(async () => {
      await expect(client.environments.retrieve({ environmentId: id })).rejects.toBeInstanceOf(NotFoundError);
    }, patient);
    await vi.waitFor(() => expect(runner.desired.has(id)).toBe(false), patient);
  });

  it('is told of a whole life cycle, each kind of event for what it is', async () => {
    await vi.waitFor(async () => {
      const found = await client.runners.retrieve({ runnerId: plane.runnerId });
      expect(found.runner.status?.phase).toBe('RUNNER_PHASE_ACTIVE');
    }, patient);
    const controller = new AbortController();
    const events = await client.events.watch({ organization: true }, { signal: controller.signal });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { operation, resourceType, resourceId } of events) {
        seen.push(`${operation} ${resourceType} ${resourceId}`);
      }
    })().catch(() => undefined);
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    // The runner is there already: it is announced, so that nobody misses it.
    expect(seen[0]).toBe(`RESOURCE_OPERATION_UPDATE RESOURCE_TYPE_RUNNER ${plane.runnerId}`);
    // Its event may be here before its id is.
    const id = await create();
    await reaches(id, 'RUNNING');
    await vi.waitFor(
      () => expect(seen.at(-1)).toBe(`RESOURCE_OPERATION_UPDATE_STATUS RESOURCE_TYPE_ENVIRONMENT ${id}`),
      patient,
    );
    await client.environments.stop({ environmentId: id });
    await reaches(id, 'STOPPED');
    await client.environments.delete({ environmentId: id });
    await vi.waitFor(
      () => expect(seen.at(-1)).toBe(`RESOURCE_OPERATION_DELETE RESOURCE_TYPE_ENVIRONMENT ${id}`),
      patient,
    );
    controller.abort();
    await reading;
    const ours = seen.filter((each) => each.endsWith(id)).map((each) => each.split(' ')[0]);
    expect(ours[0]).toBe('RESOURCE_OPERATION_CREATE');
    expect(ours.filter((each) => each === 'RESOURCE_OPERATION_CREATE')).toHaveLength(1);
    expect(ours.filter((each) => each === 'RESOURCE_OPERATION_DELETE')).toHaveLength(1);
    expect(ours).toContain('RESOURCE_OPERATION_UPDATE');
  });

  it('finds the class that is used most', async () => {
    const id = await create();
    await reaches(id, 'RUNNING');
    expect(await findMostUsedEnvironmentClass(client)).toMatchObject({ displayName: 'Regular' });
  });

  it('runs a task and waits for its log', async () => {
    const id = await create();
    await reaches(id, 'RUNNING');
    // Nobody serves the log here: asking for it is the last step.
    for (const command of ['make', 'make test']) {
      const lines = await runCommand(client, id, command);
      await expect(lines.next()).rejects.toThrow('fetch failed');
    }
    const { tasks } = await client.environments.automations.tasks.list({ filter: { environmentIds: [id] } });
    expect(tasks).toMatchObject([{ spec: { command: 'make test' } }]);
    const taskIds = tasks.map((task) => task.id);
    const executions = await client.environments.automations.tasks.executions.list({ filter: { taskIds } });
    expect(executions.taskExecutions).toMatchObject([
      { status: { phase: 'TASK_EXECUTION_PHASE_SUCCEEDED', logUrl: 'http://127.0.0.1:9/log' } },
      { status: { phase: 'TASK_EXECUTION_PHASE_SUCCEEDED', logUrl: 'http://127.0.0.1:9/log' } },
    ]);
    await client.environments.automations.tasks.delete({ id: taskIds[0] as string });
  });

  it('is told what is wrong, once', async () => {
    const fetched = vi.spyOn(globalThis, 'fetch');
    const calls = async (call: () => Promise<unknown>): Promise<[unknown, number]> => {
      fetched.mockClear();
      const error = await call().catch((thrown: unknown) => thrown);
      return [error, fetched.mock.calls.length];
    };
    const sdk = publicClient(plane.url, plane.token);
    const [unknown, unknownCalls] = await calls(() =>
      sdk.environments.retrieve({ environmentId: unknownId }),
    );
    expect(unknown).toBeInstanceOf(NotFoundError);
    expect(unknown).toMatchObject({ status: 404, code: 'not_found' });
    const [bad] = await calls(() => sdk.environments.list({ pagination: { pageSize: 1000 } }));
    expect(bad).toBeInstanceOf(BadRequestError);
    const [denied] = await calls(() =>
      publicClient(plane.url, 'wrong').identity.getAuthenticatedIdentity({}),
    );
    expect(denied).toBeInstanceOf(AuthenticationError);
    const [missing, missingCalls] = await calls(() => sdk.projects.list({}));
    expect(missing).toBeInstanceOf(InternalServerError);
    expect(missing).toMatchObject({ status: 501, code: 'unimplemented' });
    expect([unknownCalls, missingCalls]).toEqual([1, 1]);
    const watch = sdk.events.watch({ environmentId: unknownId });
    await expect(watch).rejects.toBeInstanceOf(NotFoundError);
    fetched.mockRestore();
  });

  it('of another organization finds nothing', async () => {
    const id = await create();
    await reaches(id, 'RUNNING');
    const { task } = await client.environments.automations.tasks.create({
      environmentId: id,
      spec: { command: 'x' },
    });
    const taskId = task.id;
    const stranger = publicClient(plane.url, await makeStranger(plane));
    const refused: (() => Promise<unknown>)[] = [
      () => stranger.environments.retrieve({ environmentId: id }),
      () => stranger.environments.stop({ environmentId: id }),
      () => stranger.environments.delete({ environmentId: id }),
      () => stranger.environments.update({ environmentId: id }),
      () => stranger.environments.createLogsToken({ environmentId: id }),
      () => stranger.environments.automations.tasks.create({ environmentId: id, spec: { command: 'x' } }),
      () => stranger.environments.automations.tasks.retrieve({ id: taskId }),
      () => stranger.environments.automations.tasks.start({ id: taskId }),
      () => stranger.runners.retrieve({ runnerId: plane.runnerId }),
      () => stranger.runners.delete({ runnerId: plane.runnerId }),
      () => stranger.events.watch({ environmentId: id }),
    ];
    for (const call of refused) await expect(call()).rejects.toBeInstanceOf(NotFoundError);
    expect((await stranger.environments.list({})).environments ?? []).toEqual([]);
    expect((await stranger.runners.list({})).runners ?? []).toEqual([]);
    expect((await stranger.environments.classes.list({})).environmentClasses ?? []).toEqual([]);
    expect((await stranger.environments.automations.tasks.list({})).tasks ?? []).toEqual([]);
    const own = await stranger.environments.create({ spec: {} });
    const events = await stranger.events.watch({ organization: true });
    for await (const { resourceId } of events) {
      expect(resourceId).toBe(own.environment.id);
      break;
    }
    // Its environment waits: a runner of somebody else is none for it.
    await vi.waitFor(async () => {
      const row = await plane.store.get('environment', own.environment.id);
      expect(row?.value.status?.detail?.reason).toBe(
        'There is no runner. Add one, then the environment starts.',
      );
    }, patient);
  });
});
