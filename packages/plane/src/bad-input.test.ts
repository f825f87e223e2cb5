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
    [
      `${environment}/GetEnvironment`,
      { environmentId: unknownId },
      '404 not_found: environment 01900000-0000-7000-8000-000000000000 does not exist; "atelier ls" shows those that do',
    ],
    [
      `${environment}/GetEnvironment`,
      { environmentId: 'one' },
      '400 invalid_argument: environment_id: must be a valid UUID',
    ],
    [`${environment}/GetEnvironment`, {}, '400 invalid_argument: environment_id: value is required'],
    [
      `${environment}/GetEnvironment`,
      '{',
      "400 invalid_argument: cannot decode message gitpod.v1.GetEnvironmentRequest from JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)",
    ],
    [
      `${environment}/GetEnvironment`,
      '[]',
      '400 invalid_argument: cannot decode message gitpod.v1.GetEnvironmentRequest from JSON: Array(0)',
    ],
    [
      `${environment}/GetEnvironment`,
      { environmentId: 7 },
      '400 invalid_argument: cannot decode field gitpod.v1.GetEnvironmentRequest.environment_id from JSON: expected string, got 7',
    ],
    [
      `${environment}/GetEnvironment?token=x`,
      '[]',
      '400 invalid_argument: the request body must be a JSON object',
    ],
    [
      `${environment}/ListEnvironments?token=x`,
      { pagination: 'x' },
      '400 invalid_argument: pagination must be a JSON object',
    ],
    [
      `${environment}/ListEnvironments?token=garbage`,
      {},
      '400 invalid_argument: pagination.token is not a token of this list; begin again without a token',
    ],
    [
      `${environment}/ListEnvironments?pageSize=x`,
      {},
      '400 invalid_argument: pageSize must be a whole number',
    ],
    [
      `${environment}/ListEnvironments`,
      { pagination: { pageSize: 101 } },
      '400 invalid_argument: pagination.page_size: must be greater than or equal to 0 and less than or equal to 100',
    ],
    [
      `${environment}/CreateEnvironment`,
      contextUrl('nonsense'),
      '400 invalid_argument: spec.content.initializer.specs[0].context_url.url: must be a valid URI',
    ],
    [
      `${environment}/CreateEnvironment`,
      contextUrl('ext::sh -c true'),
      '400 invalid_argument: spec.content.initializer.specs[0].context_url.url: must be a valid URI',
    ],
    [
      `${environment}/CreateEnvironment`,
      contextUrl('https://me:secret@example.test/'),
      '400 invalid_argument: https://example.test/ names no repository',
    ],
    [
      `${environment}/CreateEnvironment`,
      contextUrl('file://elsewhere/app'),
      '400 invalid_argument: a file URL must name a folder of the runner: file:///folder',
    ],
    [
      `${environment}/CreateEnvironment`,
      { name: 'x'.repeat(81) },
      '400 invalid_argument: name: must be at most 80 characters',
    ],
    [
      `${environment}/CreateEnvironment`,
      { name: 'zero \0' },
      '400 invalid_argument: "zero \\u0000" cannot name an environment: it has characters that do not print',
    ],
    [
      `${environment}/CreateEnvironment`,
      { spec: { desiredPhase: 'ENVIRONMENT_PHASE_DELETED' } },
      '400 invalid_argument: spec.desired_phase of a new environment must be RUNNING or STOPPED',
    ],
    [
      `${environment}/CreateEnvironment`,
      { spec: { ports: [{ port: 80 }] } },
      '400 invalid_argument: spec.ports[0].port: must be greater than or equal to 1024 and less than or equal to 65535; spec.ports[0].name: must be at least 1 characters',
    ],
    [
      `${environment}/UpdateEnvironment`,
      { environmentId: unknownId, metadata: { name: '' } },
      '404 not_found: environment 01900000-0000-7000-8000-000000000000 does not exist; "atelier ls" shows those that do',
    ],
    [
      `${environment}/StartEnvironment`,
      { environmentId: unknownId },
      '404 not_found: environment 01900000-0000-7000-8000-000000000000 does not exist; "atelier ls" shows those that do',
    ],
    [
      `${environment}/CreateEnvironmentFromProject`,
      { projectId: unknownId },
      '501 unimplemented: gitpod.v1.EnvironmentService.CreateEnvironmentFromProject is not implemented',
    ],
    [
      `${automation}/StartTask`,
      { id: unknownId },
      '404 not_found: task 01900000-0000-7000-8000-000000000000 does not exist',
    ],
    [`${automation}/StartService`, { id: 'x' }, '400 invalid_argument: id: must be a valid UUID'],
    [
      `${automation}/StopTaskExecution`,
      { id: unknownId },
      '404 not_found: task execution 01900000-0000-7000-8000-000000000000 does not exist',
    ],
    [
      `${automation}/UpsertAutomationsFile`,
      { environmentId: unknownId },
      '404 not_found: environment 01900000-0000-7000-8000-000000000000 does not exist; "atelier ls" shows those that do',
    ],
    [
      'RunnerService/GetRunner',
      { runnerId: unknownId },
      '404 not_found: runner 01900000-0000-7000-8000-000000000000 does not exist',
    ],
    [
      'RunnerService/ParseContextURL',
      { contextUrl: 'nonsense' },
      '400 invalid_argument: context_url: must be a valid URI',
    ],
    [
      'IdentityService/ExchangeToken',
      { exchangeToken: 'used' },
      '401 unauthenticated: the exchange token was used already, has ended, or never was',
    ],
    ['IdentityService/ExchangeToken', {}, '400 invalid_argument: exchange_token is empty'],
    [
      'ProjectService/ListProjects',
      {},
      '501 unimplemented: POST /gitpod.v1.ProjectService/ListProjects is not implemented by this server',
    ],
    ['Nothing/At', {}, '501 unimplemented: POST /gitpod.v1.Nothing/At is not implemented by this server'],
  ])('%s %j', async (method, body, answer) => {
    expect(await call(method, typeof body === 'string' ? body : JSON.stringify(body))).toBe(answer);
  });

  it.each<[what: string, headers: Record<string, string>, answer: string]>([
    [
      'no token',
      { authorization: '' },
      '401 unauthenticated: a bearer token is needed: Authorization: Bearer <token>',
    ],
    [
      'a wrong token',
      { authorization: 'Bearer wrong' },
      '401 unauthenticated: the bearer token is not known here',
    ],
    [
      'another scheme',
      { authorization: 'Basic eDp5' },
      '401 unauthenticated: a bearer token is needed: Authorization: Bearer <token>',
    ],
    [
      'an origin',
      { origin: 'http://localhost:3000' },
      '403 permission_denied: calls from web pages of another origin are not accepted',
    ],
    [
      'a long idempotency key',
      { 'atelier-idempotency-key': 'x'.repeat(201) },
      '400 invalid_argument: the header atelier-idempotency-key must have 1 to 200 characters',
    ],
    [
      'an empty idempotency key',
      { 'atelier-idempotency-key': '' },
      '400 invalid_argument: the header atelier-idempotency-key must have 1 to 200 characters',
    ],
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
