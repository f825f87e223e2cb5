import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http2';
import { connect, createServer as createSocketServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair, type Duplex } from 'node:stream';
import { Code, ConnectError, createClient, type ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { ProcessService, OutputStream } from '@atelier/api/atelier/process';
import { SupervisorService } from '@atelier/api/atelier/supervisor';
import { afterEach, describe, expect, it } from 'vitest';
import { linkOverStream } from './link.ts';

const opened: Duplex[] = [];
afterEach(() => {
  for (const stream of opened.splice(0)) stream.destroy();
});

function streams(): [Duplex, Duplex] {
  const pair = duplexPair();
  for (const stream of pair) {
    stream.on('error', () => {});
    opened.push(stream);
  }
  return pair;
}

/** Unlike the two ends of a duplexPair, each of these notices when the other one is destroyed. */
async function sockets(): Promise<[Duplex, Duplex]> {
  const folder = await mkdtemp(join(tmpdir(), 'atelier-link-'));
  const server = createSocketServer().listen(join(folder, 'socket'));
  await once(server, 'listening');
  const far = connect(join(folder, 'socket'));
  const [near] = (await once(server, 'connection')) as [Socket];
  server.close();
  await rm(folder, { recursive: true, force: true });
  opened.push(near, far);
  return [near, far];
}

function serve(stream: Duplex, routes: (router: ConnectRouter) => void): void {
  const server = createServer(connectNodeAdapter({ routes }));
  server.on('sessionError', () => {});
  server.emit('connection', stream);
}

async function codeOf(call: Promise<unknown>): Promise<Code | undefined> {
  return call.then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown).code,
  );
}

describe('linkOverStream', () => {
  it('calls and streams in both directions', async () => {
    const [near, far] = streams();
    const chunk = new Uint8Array(256 * 1024).fill(7);
    serve(far, (router) => {
      router.service(SupervisorService, { hello: () => ({ boot: 'first' }) });
      router.service(ProcessService, {
        async *run(requests) {
          let offset = 0n;
          for await (const request of requests) {
            if (request.message.case !== 'input') continue;
            const output = { stream: OutputStream.STDOUT, offset, data: chunk };
            yield { message: { case: 'output' as const, value: output } };
            offset += BigInt(chunk.length);
          }
        },
      });
    });
    const link = linkOverStream(near);
    expect((await createClient(SupervisorService, link.transport).hello({})).boot).toBe('first');
    const inputs = async function* () {
      for (let sequence = 1n; sequence <= 40n; sequence++) {
        yield { message: { case: 'input' as const, value: { sequence, data: new Uint8Array(1) } } };
      }
    };
    let bytes = 0;
    for await (const { message } of createClient(ProcessService, link.transport).run(inputs())) {
      if (message.case === 'output') bytes += message.value.data.length;
    }
    expect(bytes).toBe(40 * chunk.length);
    link.close();
    await link.closed;
    expect(await codeOf(createClient(SupervisorService, link.transport).hello({}))).toBe(Code.Unavailable);
  });

  it('survives a peer that is no supervisor', async () => {
    for (const garbage of ['HTTP/1.1 400 Bad Request\r\n\r\n', '\0'.repeat(100), 'x'.repeat(1 << 20)]) {
      const [near, far] = streams();
      const link = linkOverStream(near);
      const call = createClient(SupervisorService, link.transport).hello({});
      far.resume();
      far.write(garbage);
      far.end();
      expect(await codeOf(call)).toBe(Code.Unavailable);
      await link.closed;
    }
  });

  it('fails what is open with unavailable when the peer goes away', async () => {
    const [near, far] = await sockets();
    let entered = (): void => {};
    const inside = new Promise<void>((resolve) => (entered = resolve));
    serve(far, (router) => {
      router.service(SupervisorService, {
        async *watchLogs() {
          yield {};
          entered();
          await new Promise(() => {});
        },
        hello: () => new Promise(() => {}),
      });
    });
    const link = linkOverStream(near);
    const client = createClient(SupervisorService, link.transport);
    const unary = codeOf(client.hello({}));
    const streaming = codeOf(
      (async () => {
        for await (const _ of client.watchLogs({}));
      })(),
    );
    await inside;
    far.destroy();
    expect(await unary).toBe(Code.Unavailable);
    expect(await streaming).toBe(Code.Unavailable);
    await link.closed;
  });

  it('lets the caller give up on a peer that never answers', async () => {
    const [near, far] = streams();
    far.resume();
    const link = linkOverStream(near);
    const client = createClient(SupervisorService, link.transport);
    const gaveUp = new AbortController();
    const call = codeOf(client.hello({}, { signal: gaveUp.signal }));
    gaveUp.abort();
    expect(await call).toBe(Code.Canceled);
    expect(await codeOf(client.hello({}, { timeoutMs: 20 }))).toBe(Code.DeadlineExceeded);
    link.close();
    await link.closed;
  });

  it('refuses a message that is too large', async () => {
    const [near, far] = streams();
    serve(far, (router) => {
      router.service(SupervisorService, { hello: () => ({ boot: 'x'.repeat(5 * 1024 * 1024) }) });
    });
    const link = linkOverStream(near);
    const call = createClient(SupervisorService, link.transport).hello({});
    expect(await codeOf(call)).toBe(Code.ResourceExhausted);
    link.close();
  });

  it('is over when the stream was over before it began', async () => {
    const [near] = streams();
    near.destroy();
    const link = linkOverStream(near);
    await link.closed;
    expect(await codeOf(createClient(SupervisorService, link.transport).hello({}))).toBe(Code.Unavailable);
  });
});
