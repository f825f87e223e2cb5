import { connect as http2Connect } from 'node:http2';
import { connect } from 'node:net';
import { AtelierError } from '@atelier/api';
import { systemClock } from '@atelier/api/system';
import { IdentityService } from '@atelier/api/gitpod/identity';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDispatcher } from './dispatch.ts';
import { wireErrors } from './errors.ts';
import { listen, ownHostNames, type Listener } from './listener.ts';

const messageBytesMax = 1000;
const method = '/gitpod.v1.IdentityService/GetAuthenticatedIdentity';
const faults: string[] = [];
let listener: Listener;

beforeAll(async () => {
  const handle = createDispatcher({
    routes: (router) =>
      router.service(IdentityService, {
        getAuthenticatedIdentity: () => ({ organizationId: 'ours' }),
        exchangeToken: ({ exchangeToken }) => {
          if (exchangeToken === 'bug') throw new TypeError('a bug');
          throw new AtelierError('already_exists', 'somebody was faster');
        },
      }),
    interceptors: [wireErrors((name) => faults.push(name))],
    admit: async ({ path }) => ({ methodPath: path }),
    messageBytesMax,
    hostNames: ownHostNames('127.0.0.1'),
  });
  listener = await listen({ host: '127.0.0.1', port: 0, handle, clock: systemClock });
});
afterAll(() => listener.close());

const post = (path: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${listener.url}${path}`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  });

/** The answer to a request as it stands, over HTTP/1.1. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: listener.port });
    let answer = '';
    socket.on('data', (chunk) => (answer += String(chunk)));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.end(text);
  });
}

function overHttp2(headers: Record<string, string>): Promise<{ status: number; text: string }> {
  const session = http2Connect(listener.url);
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    const stream = session.request({ ':method': 'POST', 'content-type': 'application/json', ...headers });
    let status = 0;
    let text = '';
    stream.on('response', (response) => (status = Number(response[':status'])));
    stream.on('data', (chunk) => (text += String(chunk)));
    stream.on('end', () => {
      session.close();
      resolve({ status, text });
    });
    stream.on('error', reject);
    stream.end('{}');
  });
}

describe('a call', () => {
  it('reaches its handler over HTTP/1.1 and HTTP/2', async () => {
    expect(await (await post(method, '{}')).json()).toEqual({ organizationId: 'ours' });
    const answer = await overHttp2({ ':path': method });
    expect(answer).toEqual({ status: 200, text: '{"organizationId":"ours"}' });
  });

  it.each([
    ['an unknown method', '/gitpod.v1.Nothing/At', '{}', 501, 'unimplemented', 'false'],
    [
      'a body that is too large',
      method,
      `{"x":"${'x'.repeat(messageBytesMax)}"}`,
      429,
      'resource_exhausted',
      null,
    ],
    ['a body that is no JSON', method, '{', 400, 'invalid_argument', null],
    [
      'a conflict',
      '/gitpod.v1.IdentityService/ExchangeToken',
      '{"exchangeToken":"x"}',
      409,
      'already_exists',
      'false',
    ],
    [
      'a bug of ours',
      '/gitpod.v1.IdentityService/ExchangeToken',
      '{"exchangeToken":"bug"}',
      500,
      'internal',
      null,
    ],
  ])('with %s is answered as JSON', async (_what, path, body, status, code, retry) => {
    const response = await post(path, body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code });
    expect(response.headers.get('x-should-retry')).toBe(retry);
  });

  it('that fails by our own fault is reported, others are not', () => {
    expect(faults).toEqual(['gitpod.v1.IdentityService/ExchangeToken']);
  });
});

it('a binary message that cannot be read is the mistake of the caller', async () => {
  const headers = { 'content-type': 'application/proto' };
  const response = await post('/gitpod.v1.IdentityService/ExchangeToken', '\u000a\u007f', headers);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ code: 'invalid_argument' });
});

it.each([
  ['connect-timeout-ms', '9999999999', 'application/json'],
  ['grpc-timeout', '99999999H', 'application/grpc-web+json'],
])('%s: %s, longer than any timer, does not end the call at once', async (name, value, type) => {
  const warnings: unknown[] = [];
  const warn = (warning: unknown): number => warnings.push(warning);
  process.on('warning', warn);
  const body = type === 'application/json' ? '{}' : '\0\0\0\0\u0002{}';
  const response = await post(method, body, { [name]: value, 'content-type': type });
  expect(await response.text()).toContain('{"organizationId":"ours"}');
  process.off('warning', warn);
  expect(warnings).toEqual([]);
});

describe('the host that a client asked for', () => {
  it.each(['localhost', 'LOCALHOST:80', '127.0.0.1', '[::1]:4711'])('%s is ours', async (host) => {
    const head = `POST ${method} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n`;
    expect(await raw(`${head}connection: close\r\ncontent-length: 2\r\n\r\n{}`)).toContain(
      '{"organizationId":"ours"}',
    );
    expect((await overHttp2({ ':path': method, ':authority': host })).status).toBe(200);
  });

  it.each(['evil.example', 'localhost.evil.example', '10.0.0.1', '', 'localhost@evil', '['])(
    '%j is refused',
    async (host) => {
      const answer = await raw(`POST ${method} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1.1 403 [^]*is not called/);
      if (host === '') return;
      // Node ends the stream of an authority that is none by itself.
      const { status } = await overHttp2({ ':path': method, ':authority': host }).catch(() => ({
        status: 403,
      }));
      expect(status).toBe(403);
    },
  );

  it('with a port that is none is refused', async () => {
    const answer = await raw(`POST ${method} HTTP/1.1\r\nhost: localhost:99999\r\nconnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 400 [^]*invalid_argument/);
  });

  it.each(['//[', 'http://evil.example/', '*', '\\\\'])('with the path %j harms nothing', async (path) => {
    const answer = await raw(`OPTIONS ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 (400|501) /);
    expect((await post(method, '{}')).status).toBe(200);
  });

  it('is needed', async () => {
    expect(await raw(`POST ${method} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1.1 (400|403) /);
  });
});
