import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock as clock } from '@atelier/api/system';
import { resolversIn, startForwarder, type Forwarder } from './resolver.ts';

const address = '127.0.0.1';
const closing: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A port that is free for UDP and TCP a moment later. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  const port = (server.address() as { port: number }).port;
  server.close();
  await once(server, 'close');
  return port;
}

/** A resolver that answers each question with itself and a word. */
async function makeResolver(port: number, word: string): Promise<void> {
  const datagrams = createSocket('udp4').bind(port, address);
  datagrams.on('message', (text, from) => {
    datagrams.send(Buffer.concat([text, Buffer.from(word)]), from.port, from.address);
  });
  const connections = createServer(
    (socket) => void socket.on('data', (text) => socket.end(`${text}${word}`)),
  );
  connections.listen(port, address);
  await Promise.all([once(datagrams, 'listening'), once(connections, 'listening')]);
  closing.push(
    async () => datagrams.close(),
    async () => connections.close(),
  );
}

async function forwarder(resolvers: string[], resolverPort: number): Promise<[Forwarder, number]> {
  const port = await freePort();
  const made = await startForwarder({ address, port, clock, resolvers: () => resolvers, resolverPort });
  closing.push(() => made.close().catch(() => {}));
  return [made, port];
}

async function ask(port: number, question: string): Promise<string> {
  const socket: Socket = createSocket('udp4');
  closing.push(async () => socket.close());
  socket.send(question, port, address);
  const [text] = (await once(socket, 'message')) as [Buffer];
  return text.toString();
}

describe('the forwarder', () => {
  it('hands a datagram on and its answer back, to each who asked', async () => {
    const resolverPort = await freePort();
    await makeResolver(resolverPort, '!');
    const [, port] = await forwarder([address], resolverPort);
    const answers = await Promise.all([ask(port, 'one'), ask(port, 'two')]);
    expect(answers).toEqual(['one!', 'two!']);
  });

  it('asks the next resolver when the first one is not there', async () => {
    const resolverPort = await freePort();
    await makeResolver(resolverPort, '!');
    const [, port] = await forwarder(['127.0.0.2', address], resolverPort);
    expect(await ask(port, 'where')).toBe('where!');
  });

  it('joins connections', async () => {
    const resolverPort = await freePort();
    await makeResolver(resolverPort, '?');
    const [, port] = await forwarder([address], resolverPort);
    const socket = connect(port, address);
    socket.write('long question');
    const [text] = (await once(socket, 'data')) as [Buffer];
    expect(text.toString()).toBe('long question?');
    socket.destroy();
  });

  it('lives on when nobody can be asked, and when somebody talks nonsense', async () => {
    const resolverPort = await freePort();
    const [, port] = await forwarder([], resolverPort);
    const socket = connect(port, address);
    await once(socket, 'close');
    const again = connect(port, address);
    await once(again, 'connect');
    again.destroy();
  });

  it('says so when its port is taken', async () => {
    const [, port] = await forwarder([address], 1);
    const second = startForwarder({ address, port, clock, resolvers: () => [], resolverPort: 1 });
    await expect(second).rejects.toMatchObject({ code: 'failed_precondition' });
  });

  it('reads the servers of a resolv.conf', () => {
    const text =
      '# nameserver 1.1.1.1\nsearch x\nnameserver 127.0.0.53\nnameserver  fd00::1\nnameserver bad\n';
    expect(resolversIn(text)).toEqual(['127.0.0.53', 'fd00::1']);
  });
});
