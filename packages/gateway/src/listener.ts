/**
 * One port for HTTP/1.1 and HTTP/2 without TLS: the first bytes of a connection tell which it is. HTTP/2
 * clients begin with the preface "PRI * HTTP/2.0"; no HTTP/1.1 method begins with "PRI".
 */
import { createServer as createHttp1Server, type Server as Http1Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type Http2Session } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { AtelierError } from '@atelier/api';
import type { NodeHandler } from './dispatch.ts';

/** How a port is opened. */
export interface ListenOptions {
  /** Address to bind to; loopback unless somebody decided otherwise. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly handle: NodeHandler;
}

/** An open port. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Refuses new connections and ends the present ones. */
  close(): Promise<void>;
}

const prefaceStart = Buffer.from('PRI');
/** Memory of a client's header lines, and how long it may take to send them. */
const headersTimeoutMs = 10_000;
const streamsMax = 1000;

/** Opens the port. Errors: `failed_precondition` when the address is in use or not ours, with what to do. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const http1 = createHttp1Server({ headersTimeout: headersTimeoutMs, requestTimeout: 0 }, options.handle);
  const http2 = createHttp2Server({ settings: { maxConcurrentStreams: streamsMax } }, options.handle);
  const sessions = new Set<Http2Session>();
  http2.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
  });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true);
    passOn(socket, http1, http2);
  });
  const port = await bind(server, options);
  return {
    host: options.host,
    port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Reads the first bytes, puts them back, and gives the socket to the server whose protocol they are. */
function passOn(socket: Socket, http1: Http1Server, http2: Http2Server): void {
  socket.setTimeout(headersTimeoutMs, () => socket.destroy());
  socket.once('readable', () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    socket.setTimeout(0);
    socket.removeAllListeners('timeout');
    const compared = Math.min(chunk.length, prefaceStart.length);
    const isHttp2 = chunk.subarray(0, compared).equals(prefaceStart.subarray(0, compared));
    socket.unshift(chunk);
    (isHttp2 ? http2 : http1).emit('connection', socket);
  });
}

function bind(server: Server, { host, port }: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const reason =
        cause.code === 'EADDRINUSE' ? 'is in use; choose another port or stop what uses it' : cause.message;
      reject(new AtelierError('failed_precondition', `port ${port} on ${host} ${reason}`, { cause }));
    });
    server.listen({ host, port }, () => {
      server.on('error', () => undefined);
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });
}
