import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { publicClient } from '@atelier/plane/testing';
import type Gitpod from '@gitpod/sdk';
import { AuthenticationError, BadRequestError, NotFoundError } from '@gitpod/sdk';
import { runCommand } from '@gitpod/sdk/lib/automation';
import { EnvironmentState } from '@gitpod/sdk/lib/environment';
import { beforeAll, expect, it } from 'vitest';
import { describeAtelier } from './atelier.ts';
import { git, makeRepository } from './repository.ts';

const unknownId = '01900000-0000-7000-8000-000000000000';

describeAtelier('public client, unmodified', (atelier) => {
  let client: Gitpod;
  let url: string;
  let contextUrl: string;
  let environmentId: string;

  beforeAll(async () => {
    const work = makeRepository(join(atelier().folder, 'work'), { 'greeting.txt': 'hello\n' });
    const bare = join(atelier().folder, 'greeter.git');
    git(atelier().folder, 'clone', '--quiet', '--bare', work, bare);
    contextUrl = `file://${bare}`;
    const daemon = await atelier().daemon();
    url = daemon.url;
    client = publicClient(url, readFileSync(daemon.tokenFile, 'utf8').trim());
  });

  it('learns who it is', async () => {
    const { subject, organizationId } = await client.identity.getAuthenticatedIdentity({});
    expect(subject?.principal).toBe('PRINCIPAL_USER');
    expect(organizationId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is told of a whole life cycle while it creates, runs, stops, starts and deletes', async () => {
    const watching = new AbortController();
    const events = await client.events.watch({ organization: true }, { signal: watching.signal });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { operation, resourceType, resourceId } of events) {
        if (resourceType === 'RESOURCE_TYPE_ENVIRONMENT') seen.push(`${operation} ${resourceId}`);
      }
    })().catch(() => undefined);

    const { environment } = await client.environments.create({
      spec: { content: { initializer: { specs: [{ contextUrl: { url: contextUrl } }] } } },
    });
    environmentId = environment.id;
    const state = new EnvironmentState(client, environmentId);
    await state.waitUntilRunning();
    const running = await state.getEnvironment();
    expect(running.metadata).toMatchObject({ name: 'greeter', originalContextUrl: contextUrl });
    expect(running.status?.phase).toBe('ENVIRONMENT_PHASE_RUNNING');

    let log = '';
    for await (const line of await runCommand(client, environmentId, 'cat greeting.txt; echo $((40 + 2))')) {
      log += `${line}\n`;
    }
    expect(log).toBe('hello\n42\n');

    await client.environments.stop({ environmentId });
    await state.waitUntil((each) => each.status?.phase === 'ENVIRONMENT_PHASE_STOPPED' || undefined);
    await client.environments.start({ environmentId });
    await state.waitUntil((each) => each.status?.phase === 'ENVIRONMENT_PHASE_RUNNING' || undefined);
    await state.close();
    await client.environments.delete({ environmentId });
    await expect
      .poll(() => seen.at(-1), { timeout: 60_000 })
      .toBe(`RESOURCE_OPERATION_DELETE ${environmentId}`);
    await expect(client.environments.retrieve({ environmentId })).rejects.toBeInstanceOf(NotFoundError);
    watching.abort();
    await reading;
    expect(seen[0]).toBe(`RESOURCE_OPERATION_CREATE ${environmentId}`);
    expect(seen.filter((each) => each.startsWith('RESOURCE_OPERATION_CREATE '))).toHaveLength(1);
    expect(seen).toContain(`RESOURCE_OPERATION_UPDATE_STATUS ${environmentId}`);
  });

  it('is told of a command that fails by its log and its end', async () => {
    const { environment } = await client.environments.create({
      spec: { content: { initializer: { specs: [{ contextUrl: { url: contextUrl } }] } } },
    });
    await new EnvironmentState(client, environment.id).waitUntilRunning();
    let log = '';
    for await (const line of await runCommand(client, environment.id, 'echo before; exit 7')) log += line;
    expect(log).toBe('before');
    const filter = { environmentIds: [environment.id] };
    await expect
      .poll(
        async () => {
          const { taskExecutions } = await client.environments.automations.tasks.executions.list({ filter });
          return taskExecutions.map(({ status }) => [status?.phase, status?.failureMessage]);
        },
        { timeout: 60_000 },
      )
      .toEqual([['TASK_EXECUTION_PHASE_FAILED', expect.stringContaining('7')]]);
  });

  it('gets the errors of its own kind', async () => {
    await expect(client.environments.retrieve({ environmentId: unknownId })).rejects.toMatchObject({
      constructor: NotFoundError,
      status: 404,
    });
    await expect(client.environments.retrieve({ environmentId: 'nonsense' })).rejects.toBeInstanceOf(
      BadRequestError,
    );
    await expect(
      client.environments.create({
        spec: { content: { initializer: { specs: [{ contextUrl: { url: '--upload-pack=x' } }] } } },
      }),
    ).rejects.toBeInstanceOf(BadRequestError);
    await expect(publicClient(url, 'wrong').identity.getAuthenticatedIdentity({})).rejects.toBeInstanceOf(
      AuthenticationError,
    );
  });
});
