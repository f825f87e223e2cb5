/**
 * Names for environments: a forwarder on the gateway address hands each question to the host's own resolvers and
 * the answer back, byte for byte. It is the only thing on the host that an environment can talk to, so
 * everything about it is bounded: questions under way, their size, how long they take.
 */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, isIP, isIPv6, type Server, type Socket } from 'node:net';
import { AtelierError, type Clock } from '@atelier/api';
import { readText } from '../host/files.ts';

/** Questions of one environment that wait for an answer; more are dropped, and asked again by whoever asked. */
const questionsMax = 256;
const questionBytesMax = 4096;
/** After this the next resolver is asked. */
const questionMs = 2000;
const connectionsMax = 16;
const connectionMs = 15_000;

/** What a forwarder is made of; the ports are 53 but in tests. */
export interface ForwarderOptions {
  /** Where questions arrive. */
  readonly address: string;
  readonly port: number;
  readonly clock: Clock;
  /** Asked for each question, since a laptop changes its networks. */
  readonly resolvers: () => readonly string[];
  readonly resolverPort: number;
}

/** A forwarder that runs. */
export interface Forwarder {
  close(): Promise<void>;
}

/** The addresses of the resolvers in the text of a `resolv.conf`. */
export function resolversIn(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [word, address = ''] = line.trim().split(/\s+/);
    return word === 'nameserver' && isIP(address) !== 0 ? [address] : [];
  });
}

/** The resolvers of this host. */
export function hostResolvers(): string[] {
  return resolversIn(readText('/etc/resolv.conf') ?? '');
}

/**
 * Forwards questions by UDP and TCP. Errors: `failed_precondition` when something else on the host has the port.
 */
export async function startForwarder(options: ForwarderOptions): Promise<Forwarder> {
  const under = new Set<DatagramSocket>();
  const joined = new Set<Socket>();
  const datagrams = createSocket('udp4');
  datagrams.on('message', (question, from) => {
    if (under.size >= questionsMax || question.length > questionBytesMax) return;
    const answer = (text: Buffer): void => datagrams.send(text, from.port, from.address);
    askInTurn(options, options.resolvers(), question, answer, under);
  });
  const connections = createServer((inner) => join(options, inner, joined));
  connections.maxConnections = connectionsMax;
  await bind(options, datagrams, connections);
  // What goes wrong from now on goes wrong for one question.
  datagrams.on('error', () => {});
  connections.on('error', () => {});
  return {
    async close() {
      const closed = Promise.all([once(datagrams, 'close'), once(connections, 'close')]);
      for (const socket of under) socket.close();
      for (const socket of joined) socket.destroy();
      under.clear();
      datagrams.close();
      connections.close();
      await closed;
    },
  };
}

/** Asks the first resolver, and the next one when no answer came. */
function askInTurn(
  options: ForwarderOptions,
  [resolver, ...others]: readonly string[],
  question: Buffer,
  answer: (text: Buffer) => void,
  under: Set<DatagramSocket>,
): void {
  if (resolver === undefined) return;
  const socket = createSocket(isIPv6(resolver) ? 'udp6' : 'udp4');
  under.add(socket);
  const finish = (answered: boolean): void => {
    timer.cancel();
    if (!under.delete(socket)) return;
    socket.close();
    if (!answered) askInTurn(options, others, question, answer, under);
  };
  const timer = options.clock.timer(questionMs, () => finish(false));
  socket.on('error', () => finish(false));
  socket.on('message', (text) => {
    // A connected socket hears only the resolver; an answer to another question has another id.
    if (text.length < 2 || text.readUInt16BE(0) !== question.readUInt16BE(0)) return;
    if (under.has(socket)) answer(text);
    finish(true);
  });
  if (question.length < 2) return finish(true);
  socket.connect(options.resolverPort, resolver, () => socket.send(question));
}

/** Joins a connection to one to the first resolver; both end with either, and after some seconds. */
function join(options: ForwarderOptions, inner: Socket, joined: Set<Socket>): void {
  const [resolver] = options.resolvers();
  if (resolver === undefined) return void inner.destroy();
  const outer = connect({ host: resolver, port: options.resolverPort });
  const pair = [inner, outer];
  const end = (): void => {
    timer.cancel();
    for (const socket of pair) {
      socket.destroy();
      joined.delete(socket);
    }
  };
  const timer = options.clock.timer(connectionMs, end);
  for (const socket of pair) {
    joined.add(socket);
    socket.on('error', end);
    socket.on('close', end);
  }
  inner.pipe(outer);
  outer.pipe(inner);
}

async function bind(
  { address, port }: ForwarderOptions,
  datagrams: DatagramSocket,
  connections: Server,
): Promise<void> {
  try {
    const bound = Promise.all([once(datagrams, 'listening'), once(connections, 'listening')]);
    datagrams.bind(port, address);
    connections.listen(port, address);
    await bound;
  } catch (cause) {
    datagrams.close();
    connections.close();
    const message = `port ${port} of ${address} is taken: let the host's name server listen on its own addresses only`;
    throw new AtelierError('failed_precondition', message, { cause });
  }
}
