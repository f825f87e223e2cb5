import { startEmbeddedTestServer, stopTestServer, type TestServer } from '@atelier/store/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestPlane, type TestPlane } from './testing/test-plane.ts';

let server: TestServer;
let plane: TestPlane;

beforeAll(async () => {
  server = await startEmbeddedTestServer();
  plane = await startTestPlane(server);
});
afterAll(async () => {
  await plane.stop();
  await stopTestServer(server);
});

const unknownId = '01900000-0000-7000-8000-000000000000';
const environment = 'EnvironmentService';
const automation = 'EnvironmentAutomationService';

async function call(method: string, body: string, headers: Record<string, string> = {}): Promise<unknown> {
  const response = await fetch(`${plane.url}/api/gitpod.v1.${method}`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${plane.token}`, ...headers },
  });
  const { code, message } = (await response.json()) as { code: string; message: string };
  return `${response.status} ${code}: ${message}`;
}

const contextUrl = (url: string): unknown => ({
  spec: { content: { initializer: { specs: [{ contextUrl: { url } }] } } },
});

describe('bad input is refused with words', () => {
  it.each<[method: string, body: unknown, answer: string]>([
    [`${environment}/GetEnvironment`, { environmentId: unknownId }, ''],
    [`${environment}/GetEnvironment`, { environmentId: 'one' }, ''],
    [`${environment}/GetEnvironment`, {}, ''],
    [`${environment}/GetEnvironment`, '{', ''],
    [`${environment}/GetEnvironment`, '[]', ''],
    [`${environment}/GetEnvironment`, { environmentId: 7 }, ''],
    [`${environment}/GetEnvironment?token=x`, '[]', ''],
    [`${environment}/ListEnvironments?token=x`, { pagination: 'x' }, ''],
    [`${environment}/ListEnvironments?token=garbage`, {}, ''],
    [`${environment}/ListEnvironments?pageSize=x`, {}, ''],
    [`${environment}/ListEnvironments`, { pagination: { pageSize: 101 } }, ''],
    [`${environment}/CreateEnvironment`, contextUrl('nonsense'), ''],
    [`${environment}/CreateEnvironment`, contextUrl('ext::sh -c true'), ''],
    [`${environment}/CreateEnvironment`, contextUrl('https://me:secret@example.test/'), ''],
    [`${environment}/CreateEnvironment`, contextUrl('file://elsewhere/app'), ''],
    [`${environment}/CreateEnvironment`, { name: 'x'.repeat(81) }, ''],
    [`${environment}/CreateEnvironment`, { name: 'zero \0' }, ''],
    [`${environment}/CreateEnvironment`, { spec: { desiredPhase: 'ENVIRONMENT_PHASE_DELETED' } }, ''],
    [`${environment}/CreateEnvironment`, { spec: { ports: [{ port: 80 }] } }, ''],
    [`${environment}/UpdateEnvironment`, { environmentId: unknownId, metadata: { name: '' } }, ''],
    [`${environment}/StartEnvironment`, { environmentId: unknownId }, ''],
    [`${environment}/CreateEnvironmentFromProject`, { projectId: unknownId }, ''],
    [`${automation}/StartTask`, { id: unknownId }, ''],
    [`${automation}/StartService`, { id: 'x' }, ''],
    [`${automation}/StopTaskExecution`, { id: unknownId }, ''],
    [`${automation}/UpsertAutomationsFile`, { environmentId: unknownId }, ''],
    ['RunnerService/GetRunner', { runnerId: unknownId }, ''],
    ['RunnerService/ParseContextURL', { contextUrl: 'nonsense' }, ''],
    ['IdentityService/ExchangeToken', { exchangeToken: 'used' }, ''],
    ['IdentityService/ExchangeToken', {}, ''],
    ['ProjectService/ListProjects', {}, ''],
    ['Nothing/At', {}, ''],
  ])('%s %j', async (method, body, answer) => {
    expect(await call(method, typeof body === 'string' ? body : JSON.stringify(body))).toBe(answer);
  });

  it.each<[what: string, headers: Record<string, string>, answer: string]>([
    ['no token', { authorization: '' }, ''],
    ['a wrong token', { authorization: 'Bearer wrong' }, ''],
    ['another scheme', { authorization: 'Basic eDp5' }, ''],
    ['an origin', { origin: 'http://localhost:3000' }, ''],
    ['a long idempotency key', { 'atelier-idempotency-key': 'x'.repeat(201) }, ''],
    ['an empty idempotency key', { 'atelier-idempotency-key': '' }, ''],
  ])('%s', async (_what, headers, answer) => {
    expect(await call(`${environment}/CreateEnvironment`, '{}', headers)).toBe(answer);
  });

  it('a path outside of the API', async () => {
    const response = await fetch(`${plane.url}/`);
    expect(await response.json()).toEqual({
      code: 'not_found',
      message: 'there is nothing at /; the API is below /api',
    });
  });

  it('a body that is too large', async () => {
    const answer = await call(
      `${environment}/CreateEnvironment`,
      JSON.stringify({ name: 'x'.repeat(5_000_000) }),
    );
    expect(answer).toBe('429 resource_exhausted: the request body is larger than 4194304 bytes');
  });

  it('a name that is taken, and a runner’s token where a user’s is needed', async () => {
    expect(await call(`${environment}/CreateEnvironment`, '{"name":"one"}')).toContain('200');
    expect(await call(`${environment}/CreateEnvironment`, '{"name":"one"}')).toBe(
      '409 already_exists: you have an environment called "one" already',
    );
    const runnerToken = await plane.plane.tokens.issue(plane.runner, 'access', 0);
    expect(
      await call(`${environment}/ListEnvironments`, '{}', { authorization: `Bearer ${runnerToken}` }),
    ).toBe('403 permission_denied: this method is for users; come with a personal access token');
  });
});
