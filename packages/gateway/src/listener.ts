/**
 * One port for HTTP/1.1 and HTTP/2 without TLS: the first bytes of a connection tell which it is. HTTP/2
 * clients begin with the preface "PRI * HTTP/2.0"; no HTTP/1.1 method begins with "PRI".
 */
import { createServer as createHttp1Server, type Server as Http1Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { AtelierError, type Clock } from '@atelier/api';
import type { NodeHandler } from './dispatch.ts';

/** How a port is opened. */
export interface ListenOptions {
  /** Address to bind to; loopback unless somebody decided otherwise. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly handle: NodeHandler;
  readonly clock: Clock;
  /** How long a client may take until its request's headers are there; 10 s when not given. */
  readonly headersTimeoutMs?: number;
}

/** An open port, with the address that clients use. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Base URL, such as http://127.0.0.1:4711. */
  readonly url: string;
  /** Refuses new connections, lets the present calls end for a moment, then cuts them. */
  close(): Promise<void>;
}

const prefaceStart = Buffer.from('PRI');
const headersTimeoutDefaultMs = 10_000;
const closeGraceMs = 500;
const keepAliveMs = 30_000;
const streamsMax = 1000;

/** The names under which a browser on this machine, or on another one by address, reaches a port. */
export function ownHostNames(host: string): Set<string> {
  return new Set(['127.0.0.1', 'localhost', '[::1]', inUrl(host)]);
}

/** Opens the port. Errors: `failed_precondition` when the address is in use or not ours, with what to do. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { host, clock, headersTimeoutMs = headersTimeoutDefaultMs } = options;
  const http1 = createHttp1Server(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: 0,
      connectionsCheckingInterval: headersTimeoutMs / 2,
    },
    options.handle,
  );
  const http2 = createHttp2Server({ settings: { maxConcurrentStreams: streamsMax } }, options.handle);
  const sessions = watchSessions(http2, headersTimeoutMs);
  const sockets = new Set<Socket>();
  // The HTTP/1.1 server owns the port, so that its own timeouts work; it is given what is not HTTP/2.
  const serveHttp1 = http1.listeners('connection')[0] as (socket: Socket) => void;
  http1.removeAllListeners('connection');
  http1.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    passOn(socket, headersTimeoutMs, (isHttp2) => {
      if (isHttp2) http2.emit('connection', socket);
      else serveHttp1.call(http1, socket);
    });
  });
  const port = await bind(http1, options);
  return {
    host,
    port,
    url: `http://${inUrl(host)}:${port}`,
    async close() {
      const closed = new Promise<void>((resolve) => http1.close(() => resolve()));
      for (const session of sessions) session.close();
      const cut = clock.timer(closeGraceMs, () => {
        for (const session of sessions) session.destroy();
        for (const socket of sockets) socket.destroy();
      });
      await closed;
      cut.cancel();
    },
  };
}

/** The sessions that are open. One that never asks for anything is ended. */
function watchSessions(http2: Http2Server, timeoutMs: number): Set<Http2Session> {
  const sessions = new Set<Http2Session>();
  http2.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
    session.setTimeout(timeoutMs, () => session.destroy());
    session.once('stream', () => session.setTimeout(0));
  });
  return sessions;
}

/** Reads the first bytes until they tell the protocol, puts them back, and hands the socket on. */
function passOn(socket: Socket, timeoutMs: number, serve: (isHttp2: boolean) => void): void {
  let seen = Buffer.alloc(0);
  const cut = (): void => void socket.destroy();
  const read = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, prefaceStart.length);
    const isHttp2 = seen.subarray(0, compared).equals(prefaceStart.subarray(0, compared));
    if (isHttp2 && compared < prefaceStart.length) return;
    socket.off('readable', read);
    socket.setTimeout(0);
    socket.off('timeout', cut);
    socket.unshift(seen);
    serve(isHttp2);
  };
  socket.setTimeout(timeoutMs);
  socket.on('timeout', cut);
  socket.on('readable', read);
}

function bind(server: Http1Server, { host, port }: ListenOptions): Promise<number> {
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

function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
