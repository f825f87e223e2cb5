/** Ports that listen inside, and TCP streams to them. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { AtelierError } from '@atelier/api';
import { ListeningPortSchema, type ListeningPort } from '@atelier/api/atelier/environment_detail';
import type { ForwardRequest, ForwardResponseSchema, PortService } from '@atelier/api/atelier/port';
import { messageOf } from './machine.ts';

const tableBytesMax = 8 * 1024 * 1024;
const portsMax = 256;
const stateListen = '0A';

interface ListeningSocket {
  readonly port: number;
  readonly address: string;
  readonly inode: string;
}

/** Looks for listening ports. Names of processes are looked up only when the sockets are not those of before. */
export class PortScanner {
  readonly #processFolder: string;
  #inodes = '';
  #ports: ListeningPort[] = [];

  constructor(processFolder: string) {
    this.#processFolder = processFolder;
  }

  /** The TCP ports that listen now, by number; empty where the tables cannot be read. */
  async scan(): Promise<ListeningPort[]> {
    const tables = await Promise.all(['tcp', 'tcp6'].map((name) => this.#readTable(name)));
    const sockets = tables.flat().slice(0, portsMax);
    const inodes = sockets.map(({ inode }) => inode).join();
    if (inodes === this.#inodes) return this.#ports;
    const names = await this.#processNames(new Set(sockets.map(({ inode }) => inode)));
    this.#inodes = inodes;
    this.#ports = sockets
      .map(({ port, address, inode }) =>
        create(ListeningPortSchema, { port, address, processName: names.get(inode) ?? '' }),
      )
      .sort((one, other) => one.port - other.port || (one.address < other.address ? -1 : 1));
    return this.#ports;
  }

  async #readTable(name: string): Promise<ListeningSocket[]> {
    const path = join(this.#processFolder, 'net', name);
    const text = await readFile(path, 'latin1').catch(() => '');
    if (text.length > tableBytesMax) return [];
    return text
      .split('\n')
      .slice(1)
      .flatMap((line) => {
        const fields = line.trim().split(/\s+/);
        const [address, port] = (fields[1] ?? '').split(':');
        const inode = fields[9];
        if (fields[3] !== stateListen || !address || !port || !inode) return [];
        return [{ port: Number.parseInt(port, 16), address: addressOf(address), inode }];
      });
  }

  async #processNames(inodes: ReadonlySet<string>): Promise<Map<string, string>> {
    const names = new Map<string, string>();
    const entries = await readdir(this.#processFolder).catch(() => []);
    for (const pid of entries) {
      if (names.size === inodes.size) break;
      if (!/^\d+$/.test(pid)) continue;
      const folder = join(this.#processFolder, pid, 'fd');
      for (const descriptor of await readdir(folder).catch(() => [])) {
        const target = await readlink(join(folder, descriptor)).catch(() => '');
        const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
        if (inode === undefined || !inodes.has(inode) || names.has(inode)) continue;
        const name = await readFile(join(this.#processFolder, pid, 'comm'), 'utf8').catch(() => '');
        names.set(inode, name.trim());
      }
    }
    return names;
  }
}

// The kernel prints each 32-bit word in the byte order of the machine, which is little-endian wherever we run.
function addressOf(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) =>
    (word.match(/../g) ?? []).reverse().map((byte) => Number.parseInt(byte, 16)),
  );
  if (bytes.length === 4) return bytes.join('.');
  const groups: string[] = [];
  for (let index = 0; index + 1 < bytes.length; index += 2) {
    groups.push((((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0)).toString(16));
  }
  // The URL parser shortens an address as everybody writes it.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Serves streams to ports of the loopback. */
export function portService(onInput: () => void): ServiceImpl<typeof PortService> {
  return {
    async *forward(requests, { signal }) {
      const incoming = requests[Symbol.asyncIterator]();
      const first = await incoming.next();
      if (first.done || first.value.message.case !== 'port') {
        throw new AtelierError('invalid_argument', 'The first request must name the port.');
      }
      onInput();
      yield* stream(await connectTo(first.value.message.value), incoming, signal);
    },
  };
}

async function* stream(
  socket: Socket,
  incoming: AsyncIterator<ForwardRequest>,
  signal: AbortSignal,
): AsyncIterable<MessageInitShape<typeof ForwardResponseSchema>> {
  const close = (): void => void socket.destroy();
  signal.addEventListener('abort', close, { once: true });
  try {
    yield { message: { case: 'connected', value: {} } };
    sendTo(socket, incoming).catch(close);
    for await (const data of socket) yield { message: { case: 'data', value: data as Buffer } };
  } catch (thrown) {
    if (!signal.aborted) throw new AtelierError('unavailable', `The port broke off: ${messageOf(thrown)}`);
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
}

async function sendTo(socket: Socket, incoming: AsyncIterator<ForwardRequest>): Promise<void> {
  for (;;) {
    const next = await incoming.next();
    if (next.done) break;
    if (next.value.message.case !== 'data') {
      throw new AtelierError('invalid_argument', 'After the first request: data.');
    }
    const { value } = next.value.message;
    await new Promise<void>((resolve, reject) => {
      socket.write(value, (error) => (error ? reject(error) : resolve()));
    });
  }
  socket.end();
}

async function connectTo(port: number): Promise<Socket> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new AtelierError('invalid_argument', `A port is 1 to 65535, not ${port}.`);
  }
  const refused: string[] = [];
  for (const host of ['127.0.0.1', '::1']) {
    const socket = connect({ host, port, allowHalfOpen: true });
    const failure = await new Promise<unknown>((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (failure === undefined) return socket;
    socket.destroy();
    refused.push(messageOf(failure));
  }
  throw new AtelierError('unavailable', `Nothing answers on port ${port} inside: ${refused.join('; ')}`);
}
