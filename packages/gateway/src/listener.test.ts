import { request as http1Request } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { systemClock } from '@atelier/api/system';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { listen, type Listener, type ListenOptions } from './listener.ts';

const host = '127.0.0.1';
const open: Listener[] = [];
const sockets: Socket[] = [];

const answer: ListenOptions['handle'] = (request, response) => {
  response.writeHead(200);
  response.end(`${request.httpVersion} ${request.method} ${request.url}`);
};

async function start(options: Partial<ListenOptions> = {}): Promise<Listener> {
  const listener = await listen({ host, port: 0, clock: systemClock, handle: answer, ...options });
  open.push(listener);
  return listener;
}

/** A bare connection: what it received so far, and whether the other side has ended it. */
function dial({ port }: Listener): { socket: Socket; text(): string; ended: Promise<void> } {
  const socket = connect({ host, port });
  sockets.push(socket);
  let received = '';
  socket.on('data', (chunk) => (received += String(chunk)));
  socket.on('error', () => undefined);
  return {
    socket,
    text: () => received,
    ended: new Promise((resolve) => socket.once('close', () => resolve())),
  };
}

function overHttp2({ url }: Listener, path: string): Promise<string> {
  const session = http2Connect(url);
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    const stream = session.request({ ':path': path });
    let text = '';
    stream.on('data', (chunk) => (text += String(chunk)));
    stream.on('end', () => {
      session.close();
      resolve(text);
    });
  });
}

function overHttp1({ url }: Listener, path: string): Promise<string> {
  return fetch(`${url}${path}`, { method: 'PUT' }).then((response) => response.text());
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const listener of open.splice(0)) await listener.close();
});

describe('one port', () => {
  it('speaks HTTP/1.1 and HTTP/2, at once', async () => {
    const listener = await start();
    const answers = await Promise.all([
      overHttp1(listener, '/a'),
      overHttp2(listener, '/b'),
      overHttp1(listener, '/c'),
      overHttp2(listener, '/d'),
    ]);
    expect(answers).toEqual(['1.1 PUT /a', '2.0 GET /b', '1.1 PUT /c', '2.0 GET /d']);
  });

  it('waits for the bytes that tell POST and PUT from the preface of HTTP/2', async () => {
    const { socket, text } = dial(await start());
    for (const piece of ['P', 'U', 'T /slow HTTP/1.1\r\nhost: x\r\n\r\n']) {
      socket.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await vi.waitFor(() => expect(text()).toContain('1.1 PUT /slow'));
  });

  it('is told apart from others by its address in words', async () => {
    const first = await start();
    await expect(start({ port: first.port })).rejects.toMatchObject({
      code: 'failed_precondition',
      message: `port ${first.port} on 127.0.0.1 is in use; choose another port or stop what uses it`,
    });
    const six = await start({ host: '::1' }).catch(() => undefined);
    if (six) expect(await overHttp1(six, '/')).toBe('1.1 PUT /');
  });
});

describe('a connection', () => {
  it.each([
    '\0\0\0\0\0\0\0\0',
    'garbage\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage',
    'PRInce of garbage',
  ])('that says %j is ended, and the next one is served', async (garbage) => {
    const listener = await start();
    const { socket, ended } = dial(listener);
    socket.write(garbage);
    await ended;
    expect(await overHttp1(listener, '/')).toBe('1.1 PUT /');
  });

  it.each([
    '',
    'P',
    'PRI * HTTP/2',
    'GET / HTTP/1.1\r\nhost: ',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0',
  ])('that says %j and then nothing is cut', async (start_) => {
    const listener = await start({ headersTimeoutMs: 100 });
    const { socket, ended } = dial(listener);
    socket.write(start_);
    await ended;
  });

  it('that was served and waits for more is not cut', async () => {
    const listener = await start({ headersTimeoutMs: 50, handle: () => undefined });
    const { ended, socket } = dial(listener);
    const cut = vi.fn();
    void ended.then(cut);
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(cut).not.toHaveBeenCalled();
  });
});

describe('close', () => {
  it('lets a call that goes on end', async () => {
    let finish = (): void => undefined;
    const listener = await start({
      handle: (_request, response) => {
        finish = () => response.end('whole');
      },
    });
    const call = overHttp1(listener, '/');
    await vi.waitFor(() => expect(finish.length).toBe(0));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const closed = listener.close();
    finish();
    expect(await call).toBe('whole');
    await closed;
  });

  it('ends everything within a second: silent connections, idle and busy ones', async () => {
    const listener = await start({ handle: (_request, response) => void response.write('begun') });
    const silent = dial(listener);
    const busy = http1Request(`${listener.url}/`);
    const cut = new Promise((resolve) => busy.on('error', resolve).on('close', resolve));
    busy.on('response', (response) => response.on('error', () => undefined));
    busy.end();
    const session = http2Connect(listener.url);
    session.on('error', () => undefined);
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => undefined);
    await new Promise((resolve) => stream.once('data', resolve));
    const begunMs = systemClock.nowMs();
    await listener.close();
    expect(systemClock.nowMs() - begunMs).toBeLessThan(1000);
    await Promise.all([silent.ended, cut]);
    await expect(overHttp1(listener, '/')).rejects.toThrow('fetch failed');
  });
});
