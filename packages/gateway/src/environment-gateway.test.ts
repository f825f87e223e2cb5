import { generateKeyPairSync } from 'node:crypto';
import { AtelierError, makeId, sleep } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { PortService } from '@atelier/api/atelier/port';
import {
  OutputStream,
  ProcessService,
  RunRequestSchema,
  type RunRequest,
} from '@atelier/api/atelier/process';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, createRouterTransport, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { signAccessToken, type AccessScope } from './access-token.ts';
import type { EnvironmentAccess } from './access.ts';
import { openEnvironmentGateway, type EnvironmentGateway } from './environment-gateway.ts';

const nowMs = systemClock.nowMs();
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const privatePem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const publicDer = publicKey.export({ type: 'spki', format: 'der' });
const id = makeId(nowMs, systemRandom);
const stoppedId = makeId(nowMs, systemRandom);

const tokenFor = (environmentId: string, scope: AccessScope, lifetimeMs = 60_000): Promise<string> =>
  signAccessToken(privatePem, { environmentId, scope, subjectId: 'somebody' }, nowMs + lifetimeMs);

/** A supervisor that echoes its input in capitals, and remembers how its calls ended. */
function makeSupervisor() {
  const aborted = vi.fn();
  const transport = createRouterTransport((router) => {
    router.service(ProcessService, {
      listProcesses: () => ({ processes: [{ processId: 'one', pid: 42 }] }),
      signalProcess() {
        const metadata = new Headers({ 'set-cookie': 'from inside', 'x-inside': '1' });
        throw new ConnectError('there is no such process', Code.NotFound, metadata);
      },
      async *run(requests, { signal }) {
        signal.addEventListener('abort', aborted);
        let offset = 0n;
        for await (const { message } of requests) {
          if (message.case === 'start') yield { message: { case: 'started', value: { pid: 7 } } };
          if (message.case !== 'input') continue;
          const data = Buffer.from(Buffer.from(message.value.data).toString().toUpperCase());
          yield { message: { case: 'output', value: { stream: OutputStream.STDOUT, offset, data } } };
          offset += BigInt(data.length);
          if (message.value.end) break;
        }
        yield { message: { case: 'exited', value: { exitCode: 3 } } };
      },
    });
  });
  return { transport, aborted };
}

const written = Buffer.from('one\ntwo\nthree\n');

let gateway: EnvironmentGateway;
let supervisor: ReturnType<typeof makeSupervisor>;
let markActive: ReturnType<typeof vi.fn<EnvironmentAccess['markActive']>>;
const logEnded = vi.fn();
let appended: ((text: string) => void) | undefined;

async function* readLog(name: string, { offset, follow, signal }: Parameters<EnvironmentAccess['log']>[2]) {
  if (name !== 'task/build') throw new AtelierError('not_found', `there is no log ${name}`);
  try {
    yield written.subarray(offset);
    if (!follow) return;
    while (!signal.aborted) {
      const more = await new Promise<string>((resolve) => {
        appended = resolve;
        signal.addEventListener('abort', () => resolve(''));
      });
      if (more === '') return;
      yield Buffer.from(more);
    }
  } finally {
    logEnded();
  }
}

beforeEach(async () => {
  supervisor = makeSupervisor();
  markActive = vi.fn<EnvironmentAccess['markActive']>();
  logEnded.mockClear();
  gateway = await openEnvironmentGateway({
    access: {
      transport: (environmentId): Transport | undefined =>
        environmentId === id ? supervisor.transport : undefined,
      log: (_id, name, options) => readLog(name, options),
      logNames: async () => ['task/build'],
      markActive,
    },
    tokenPublicKey: () => publicDer,
    clock: systemClock,
    host: '127.0.0.1',
    port: 0,
  });
});
afterEach(() => gateway.close());

const baseUrl = (environmentId = id): string => `${gateway.url}/environments/${environmentId}`;

/** A transport of a client that comes with the token. */
async function transportTo(
  environmentId = id,
  token?: string,
  options: { grpc?: boolean; http1?: boolean } = {},
) {
  const bearer = token ?? (await tokenFor(environmentId, 'ops'));
  const interceptors = [
    (next: (request: never) => Promise<unknown>) => (request: { header: Headers }) => {
      request.header.set('authorization', `Bearer ${bearer}`);
      return next(request as never);
    },
  ] as never;
  if (options.grpc) return createGrpcTransport({ baseUrl: baseUrl(environmentId), interceptors });
  const httpVersion = options.http1 ? '1.1' : '2';
  return createConnectTransport({ baseUrl: baseUrl(environmentId), httpVersion, interceptors });
}

async function* inputs(
  ...messages: MessageInitShape<typeof RunRequestSchema>['message'][]
): AsyncIterable<RunRequest> {
  for (const message of messages) yield create(RunRequestSchema, { message } as never);
}

const input = (text: string, end = false) =>
  ({ case: 'input', value: { data: Buffer.from(text), end } }) as const;

describe('an environment behind the gateway', () => {
  it.each([{}, { http1: true }, { grpc: true }])(
    'answers a call (%o), which counts as work unless it only looks',
    async (options) => {
      const client = createClient(ProcessService, await transportTo(id, undefined, options));
      const { processes } = await client.listProcesses({});
      expect(processes).toMatchObject([{ processId: 'one', pid: 42 }]);
      expect(markActive).not.toHaveBeenCalled();
      await expect(client.signalProcess({ processId: 'two' })).rejects.toMatchObject({ code: Code.NotFound });
      expect(markActive).toHaveBeenCalledWith(id);
    },
  );

  it('streams both ways at once over HTTP/2', async () => {
    const client = createClient(ProcessService, await transportTo());
    let answered = (): void => undefined;
    const firstOutput = new Promise<void>((resolve) => (answered = resolve));
    const seen: string[] = [];
    const talk = async function* () {
      yield* inputs({ case: 'start', value: {} }, input('hello '));
      await firstOutput;
      yield* inputs(input('world', true));
    };
    for await (const { message } of client.run(talk())) {
      if (message.case === 'output') seen.push(`${message.value.offset}:${Buffer.from(message.value.data)}`);
      else seen.push(String(message.case));
      if (message.case === 'output') answered();
    }
    expect(seen).toEqual(['started', '0:HELLO ', '6:WORLD', 'exited']);
  });

  it('passes an error on without what the inside wrote beside it', async () => {
    const client = createClient(ProcessService, await transportTo());
    const thrown = await client.signalProcess({ processId: 'x' }).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code: Code.NotFound, rawMessage: 'there is no such process' });
    expect((thrown as ConnectError).metadata.has('x-inside')).toBe(false);
    expect((thrown as ConnectError).metadata.has('set-cookie')).toBe(false);
  });

  it('hears of it when the client goes', async () => {
    const client = createClient(ProcessService, await transportTo());
    const controller = new AbortController();
    const endless = async function* () {
      yield* inputs({ case: 'start', value: {} });
      await new Promise((resolve) => controller.signal.addEventListener('abort', resolve));
    };
    await expect(async () => {
      for await (const { message } of client.run(endless(), { signal: controller.signal })) {
        expect(message.case).toBe('started');
        controller.abort();
      }
    }).rejects.toMatchObject({ code: Code.Canceled });
    await vi.waitFor(() => expect(supervisor.aborted).toHaveBeenCalled());
  });

  it('that does not run says so, in a single answer and in a stream', async () => {
    const client = createClient(ProcessService, await transportTo(stoppedId));
    const refusal = {
      code: Code.Unavailable,
      rawMessage: `environment ${stoppedId} cannot be entered right now: it does not run, or its supervisor has not answered yet`,
    };
    await expect(client.listProcesses({})).rejects.toMatchObject(refusal);
    await expect(async () => {
      for await (const _ of client.run(inputs({ case: 'start', value: {} }))) expect.unreachable();
    }).rejects.toMatchObject(refusal);
    expect(markActive).not.toHaveBeenCalled();
  });

  it('whose supervisor lacks a method says so', async () => {
    const client = createClient(PortService, await transportTo());
    await expect(async () => {
      for await (const _ of client.forward((async function* () {})())) expect.unreachable();
    }).rejects.toMatchObject({ code: Code.Unimplemented });
  });
});

describe('a token', () => {
  it.each([
    ['of another environment', () => tokenFor(stoppedId, 'ops'), Code.PermissionDenied],
    ['for logs only', () => tokenFor(id, 'logs'), Code.PermissionDenied],
    ['that has ended', () => tokenFor(id, 'ops', -1000), Code.Unauthenticated],
    ['that is garbage', async () => 'garbage', Code.Unauthenticated],
  ])('%s opens nothing', async (_what, make, code) => {
    const client = createClient(ProcessService, await transportTo(id, await make()));
    await expect(client.listProcesses({})).rejects.toMatchObject({ code });
    expect(markActive).not.toHaveBeenCalled();
  });

  it('is needed for everything below an environment, and nothing is anywhere else', async () => {
    const statuses = await Promise.all(
      [
        `${baseUrl()}/atelier.v1.ProcessService/ListProcesses`,
        `${baseUrl()}/logs/task/build`,
        gateway.url,
      ].map(async (url) => (await fetch(url)).status),
    );
    expect(statuses).toEqual([401, 401, 404]);
  });
});

describe('a log', () => {
  const read = async (path: string, scope: AccessScope = 'logs', init: RequestInit = {}): Promise<Response> =>
    fetch(`${baseUrl()}/logs/${path}`, {
      ...init,
      headers: { authorization: `Bearer ${await tokenFor(id, scope)}` },
    });

  it.each(['logs', 'ops'] as const)('is read with a token for %s, from an offset on', async (scope) => {
    const response = await read('task/build?offset=4&follow=false', scope);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await response.text()).toBe('two\nthree\n');
    expect(logEnded).toHaveBeenCalledOnce();
  });

  it('is followed until the client goes', async () => {
    const controller = new AbortController();
    const response = await read('task%2Fbuild', 'logs', { signal: controller.signal });
    const reader = response.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('one\ntwo\nthree\n');
    await vi.waitFor(() => expect(appended).toBeDefined());
    appended?.('four\n');
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('four\n');
    expect(logEnded).not.toHaveBeenCalled();
    controller.abort();
    await vi.waitFor(() => expect(logEnded).toHaveBeenCalledOnce());
  });

  it.each([
    ['task/none', 404, 'not_found', 'there is no log task/none'],
    ['..%2f..%2fledger.json', 404, 'not_found', 'there is no log "..%2f..%2fledger.json"'],
    ['task/%ff', 404, 'not_found', 'there is no log "task/%ff"'],
    ['task/a%00b', 404, 'not_found', 'there is no log "task/a%00b"'],
    ['task/build?offset=-1', 400, 'invalid_argument', 'offset must be a number of bytes'],
    ['task/build?offset=x', 400, 'invalid_argument', 'offset must be a number of bytes'],
  ])('%s is answered with %i %s', async (path, status, code, message) => {
    const response = await read(path);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ code, message });
  });

  it('is only read', async () => {
    const response = await read('task/build', 'logs', { method: 'DELETE' });
    expect(response.status).toBe(501);
    expect(response.headers.get('x-should-retry')).toBe('false');
  });
});

describe('closing the gateway', () => {
  it('ends what is open within a second', async () => {
    const response = await fetch(`${baseUrl()}/logs/task/build`, {
      headers: { authorization: `Bearer ${await tokenFor(id, 'logs')}` },
    });
    const begunMs = systemClock.nowMs();
    await gateway.close();
    expect(systemClock.nowMs() - begunMs).toBeLessThan(1000);
    await expect(response.text()).rejects.toThrow('terminated');
    await sleep(systemClock, 1);
    expect(logEnded).toHaveBeenCalledOnce();
  });
});
