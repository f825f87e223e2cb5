import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { once } from 'node:events';
import { AtelierError } from '@atelier/api';
import { PortService, type ForwardRequest } from '@atelier/api/atelier/port';
import { ProcessService } from '@atelier/api/atelier/process';
import { EnvironmentService } from '@atelier/api/gitpod/environment';
import type { ConnectRouter } from '@connectrpc/connect';
import { afterEach, describe, expect, it } from 'vitest';
import { createClient, forwardPort, readLog, type AtelierClient } from './index.ts';
import {
  addEnvironment,
  environmentId,
  runningEnvironment,
  startFakeServer,
  type FakeServer,
} from './testing/server.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function open(routes: (router: ConnectRouter, own: FakeServer) => void) {
  const server = await startFakeServer(routes);
  const client: AtelierClient = createClient({ url: server.url, token: 'secret', patienceMs: 500 });
  closers.push(
    () => server.close(),
    () => client.close(),
  );
  return { server, client };
}

describe('access', () => {
  it('asks once for address and token, and again when the token nears its end', async () => {
    const processes = (router: ConnectRouter): unknown =>
      router.service(ProcessService, { listProcesses: () => ({ processes: [] }) });
    const long = await open((router, own) => {
      addEnvironment(router, own);
      processes(router);
    });
    for (let count = 0; count < 3; count += 1) {
      await (await long.client.access(environmentId).service(ProcessService)).listProcesses({});
    }
    expect(long.server.calls.filter((call) => call.includes('AccessToken'))).toHaveLength(1);
    expect(long.server.tokens.size).toBe(2);
    const short = await open((router, own) => {
      addEnvironment(router, own, 30_000);
      processes(router);
    });
    for (let count = 0; count < 3; count += 1) {
      await (await short.client.access(environmentId).service(ProcessService)).listProcesses({});
    }
    expect(short.server.tokens.size).toBe(4);
  });

  it.each([
    ['STOPPED', 'start it with "atelier start guestbook"'],
    ['DELETING', '"atelier status guestbook" says what goes on'],
  ] as const)('says what to do when the environment is %s', async (phase, advice) => {
    const { client } = await open((router, own) => {
      router.service(EnvironmentService, {
        getEnvironment: () => ({ environment: runningEnvironment(own, phase) }),
        createEnvironmentAccessToken: () => ({ accessToken: 'x' }),
      });
    });
    await expect(client.access(environmentId).open()).rejects.toMatchObject({
      code: 'failed_precondition',
      message: `environment guestbook is ${phase}; ${advice}`,
    });
  });
});

describe('calls', () => {
  it('are repeated while the server is away, when that changes nothing', async () => {
    const { server, client } = await open(addEnvironment);
    await server.down();
    const answer = client.environments.get(environmentId);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.up();
    expect((await answer).metadata?.name).toBe('guestbook');
  });

  it('are not repeated when the server said no', async () => {
    const { server, client } = await open((router) => {
      router.service(EnvironmentService, {
        getEnvironment: () => {
          throw new AtelierError('permission_denied', 'not yours');
        },
      });
    });
    await expect(client.environments.get(environmentId)).rejects.toMatchObject({
      code: 'permission_denied',
      message: 'not yours',
    });
    expect(server.calls).toHaveLength(1);
  });

  it('that make something are repeated with an idempotency key only', async () => {
    const { server, client } = await open((router) => {
      router.service(EnvironmentService, {
        createEnvironment: () => {
          throw new AtelierError('unavailable', 'later');
        },
      });
    });
    await expect(client.environments.create({})).rejects.toMatchObject({ code: 'unavailable' });
    expect(server.calls).toHaveLength(1);
    await expect(client.environments.create({}, 'key')).rejects.toMatchObject({ code: 'unavailable' });
    expect(server.calls.length).toBeGreaterThan(2);
  });
});

describe('forwardPort', () => {
  /** What the supervisor does, with half close both ways. */
  function addPorts(router: ConnectRouter): void {
    router.service(PortService, {
      async *forward(requests: AsyncIterable<ForwardRequest>) {
        const incoming = requests[Symbol.asyncIterator]();
        const first = await incoming.next();
        const port = first.value?.message.value as number;
        const socket = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true });
        await once(socket, 'connect');
        yield { message: { case: 'connected', value: {} } };
        const take = async (): Promise<void> => {
          for (let next = await incoming.next(); !next.done; next = await incoming.next()) {
            if (!socket.write(next.value.message.value as Uint8Array)) await once(socket, 'drain');
          }
          socket.end();
        };
        take().catch(() => socket.destroy());
        for await (const data of socket) yield { message: { case: 'data', value: data as Buffer } };
      },
    } as never);
  }

  async function startInside(onSocket: (socket: Socket) => void): Promise<number> {
    const inside: Server = createServer({ allowHalfOpen: true }, onSocket);
    inside.listen(0, '127.0.0.1');
    await once(inside, 'listening');
    closers.push(() => new Promise((resolve) => inside.close(resolve)));
    return (inside.address() as AddressInfo).port;
  }

  it('carries bytes both ways and lets one half end before the other', async () => {
    const { client } = await open((router, own) => {
      addEnvironment(router, own);
      addPorts(router);
    });
    const port = await startInside((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (data) => chunks.push(data));
      socket.on('end', () => socket.end(`got ${Buffer.concat(chunks).length}`));
    });
    const forwarded = await forwardPort(client, environmentId, { port, localPort: 0 });
    closers.push(() => forwarded.close());
    const socket = createConnection({ port: forwarded.localPort, host: forwarded.host, allowHalfOpen: true });
    socket.end(Buffer.alloc(3_000_000, 'x'));
    const answer: Buffer[] = [];
    for await (const data of socket) answer.push(data as Buffer);
    expect(Buffer.concat(answer).toString()).toBe('got 3000000');
  });

  it('closes the local connection and says why when nothing answers inside', async () => {
    const { client } = await open((router, own) => {
      addEnvironment(router, own);
      router.service(PortService, {
        forward: () => {
          throw new AtelierError('unavailable', 'nothing answers on port 1 inside');
        },
      } as never);
    });
    const said: string[] = [];
    const onError = ({ message }: AtelierError): void => void said.push(message);
    const forwarded = await forwardPort(client, environmentId, { port: 1, localPort: 0, onError });
    closers.push(() => forwarded.close());
    const socket = createConnection({ port: forwarded.localPort, host: forwarded.host });
    socket.on('error', () => undefined);
    await once(socket, 'close');
    expect(said).toEqual(['nothing answers on port 1 inside']);
  });

  it('refuses a local port that is taken', async () => {
    const { client } = await open(addEnvironment);
    const port = await startInside((socket) => socket.destroy());
    await expect(forwardPort(client, environmentId, { port: 80, localPort: port })).rejects.toMatchObject({
      code: 'failed_precondition',
      message: `local port ${port} is in use on this machine; choose another`,
    });
  });
});

describe('readLog', () => {
  it('goes on at its offset when the connection breaks, and passes refusals on', async () => {
    const whole = 'one\ntwo\nthree\n';
    const offsets: string[] = [];
    const gateway: HttpServer = createHttpServer((request, response) => {
      const url = new URL(request.url ?? '', 'http://localhost');
      if (!url.pathname.endsWith('/logs/step/image')) {
        response.writeHead(404).end(JSON.stringify({ code: 'not_found', message: 'there is no such log' }));
        return;
      }
      const offset = Number(url.searchParams.get('offset'));
      offsets.push(
        `${offset} ${url.searchParams.get('follow')} ${request.headers.authorization?.slice(0, 7)}`,
      );
      response.writeHead(200);
      if (offset < 8) response.write(whole.slice(offset, offset + 4), () => response.destroy());
      else response.end(whole.slice(offset));
    });
    gateway.listen(0, '127.0.0.1');
    await once(gateway, 'listening');
    closers.push(() => gateway.close());
    const url = `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`;
    const { client } = await open((router) => addEnvironment(router, { url } as FakeServer));
    let text = '';
    for await (const data of readLog(client, environmentId, 'step/image', { follow: true }))
      text += Buffer.from(data);
    expect(text).toBe(whole);
    expect(offsets).toEqual(['0 true Bearer ', '4 true Bearer ', '8 true Bearer ']);
    const missing = readLog(client, environmentId, 'step/other', { follow: false });
    await expect(missing.next()).rejects.toMatchObject({
      code: 'not_found',
      message: 'there is no such log',
    });
  });
});
