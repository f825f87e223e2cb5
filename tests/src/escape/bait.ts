/** What attacks are aimed at on the host, all of it made for that: files, sockets, ports, a process, shared memory. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Facts } from './probe.ts';

const answer = 'the host\n';

/** Makes shared memory of a key, and takes it away when it is ended. */
const baitProcess =
  '$| = 1; $id = shmget($ARGV[0], 4096, 01600) // die; $SIG{TERM} = sub { shmctl($id, 0, 0); exit }; print "ready"; sleep';

/** The bait; `close` takes it away. */
export class Bait {
  readonly secretFile: string;
  readonly socket: string;
  /** A file at a place that a bare container does not see. */
  readonly leak: string;
  readonly #unseenFolder = mkdtempSync(join(tmpdir(), 'at-escape-'));
  readonly #servers: Server[] = [];
  readonly #datagrams: DatagramSocket = createSocket('udp4');
  readonly #process: ChildProcess;
  readonly #mark = `bait-of-${process.pid}`;
  readonly #memoryKey = 0x61740000 + (process.pid & 0xffff);

  constructor(folder: string) {
    mkdirSync(folder);
    this.secretFile = join(folder, 'secret');
    this.socket = join(folder, 'socket');
    this.leak = join(this.#unseenFolder, 'leak');
    for (const file of [this.secretFile, this.leak])
      writeFileSync(file, 'a secret of the host', { mode: 0o600 });
    this.#process = spawn('perl', ['-e', baitProcess, String(this.#memoryKey), this.#mark], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  /** Opens the sockets and ports, and gives what the attacks have to know. */
  async open(): Promise<Facts> {
    if (this.#process.stdout) await once(this.#process.stdout, 'data');
    const everywhere = await this.#listen({ port: 0, host: '::' });
    await this.#listen({ path: this.socket });
    await this.#listen({ path: `\0${this.#mark}` });
    const { port } = everywhere.address() as AddressInfo;
    this.#datagrams.on('message', (_, from) => this.#datagrams.send(answer, from.port, from.address));
    this.#datagrams.bind(port, '0.0.0.0');
    await once(this.#datagrams, 'listening');
    const kinds = ['user', 'pid', 'net', 'ipc', 'uts', 'cgroup'];
    return {
      secret: this.secretFile,
      socket: this.socket,
      abstract_socket: this.#mark,
      host_port: String(port),
      host_process: this.#mark,
      host_pid: String(this.#process.pid),
      shared_memory: String(this.#memoryKey),
      ...Object.fromEntries(
        kinds.map((kind) => [`namespace_${kind}`, readlinkSync(`/proc/self/ns/${kind}`)]),
      ),
    };
  }

  /** Takes everything away. */
  async close(): Promise<void> {
    for (const server of this.#servers) server.close();
    this.#datagrams.close();
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
    rmSync(this.#unseenFolder, { recursive: true });
  }

  async #listen(where: { path: string } | { port: number; host: string }): Promise<Server> {
    const server = createServer((socket: Socket) => {
      socket.on('error', () => {});
      socket.end(answer);
    });
    this.#servers.push(server);
    server.listen(where);
    await once(server, 'listening');
    return server;
  }
}
