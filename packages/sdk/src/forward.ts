/** Ports of an environment on this machine's loopback. */
import { createServer, type Server, type Socket } from 'node:net';
import { AtelierError, toAtelierError } from '@atelier/api';
import { ForwardRequestSchema, PortService, type ForwardRequest } from '@atelier/api/atelier/port';
import { create } from '@bufbuild/protobuf';
import type { EnvironmentAccess } from './access.ts';

/** What {@link forwardPort} forwards. */
export interface ForwardOptions {
  /** Port inside the environment. */
  readonly port: number;
  /** Port on this machine's loopback; 0 takes any free one. */
  readonly localPort: number;
  /** Told why one connection could not be made or broke; the others go on. */
  readonly onError?: (error: AtelierError) => void;
}

/** A port that is forwarded. */
export interface ForwardedPort {
  readonly host: string;
  readonly localPort: number;
  /** Refuses new connections and ends the present ones. */
  close(): Promise<void>;
}

const host = '127.0.0.1';

/**
 * Listens on loopback and carries each connection to the port inside, with backpressure, either side's end
 * closing its half. Errors: `failed_precondition` when the local port is taken.
 */
export async function forwardPort(
  source: { access(environmentId: string): EnvironmentAccess },
  environmentId: string,
  options: ForwardOptions,
): Promise<ForwardedPort> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    carry(source.access(environmentId), options.port, socket).catch((thrown: unknown) => {
      socket.destroy();
      options.onError?.(toAtelierError(thrown));
    });
  });
  const localPort = await listen(server, options.localPort);
  return {
    host,
    localPort,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const reason =
        cause.code === 'EADDRINUSE' ? 'is in use on this machine; choose another' : cause.message;
      reject(new AtelierError('failed_precondition', `local port ${port} ${reason}`, { cause }));
    });
    server.listen({ host, port }, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });
}

async function carry(access: EnvironmentAccess, port: number, socket: Socket): Promise<void> {
  const gone = new AbortController();
  socket.on('close', () => gone.abort());
  socket.on('error', () => gone.abort());
  try {
    const ports = await access.service(PortService);
    const responses = ports.forward(requests(port, socket), { signal: gone.signal });
    for await (const { message } of responses) {
      if (message.case === 'data') await write(socket, message.value);
    }
    socket.end();
  } catch (thrown) {
    if (gone.signal.aborted) return;
    access.forget();
    throw thrown;
  }
}

async function* requests(port: number, socket: Socket): AsyncGenerator<ForwardRequest> {
  yield create(ForwardRequestSchema, { message: { case: 'port', value: port } });
  // Not the socket's own iterator: that one destroys the socket at its end, and with it the other half.
  for await (const data of socket.iterator({ destroyOnReturn: false })) {
    yield create(ForwardRequestSchema, { message: { case: 'data', value: data as Buffer } });
  }
}

function write(socket: Socket, data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(data, (error) => (error ? reject(error) : resolve()));
  });
}
