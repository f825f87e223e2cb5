/**
 * The runner's end of the connection that a supervisor made: HTTP/2 over any byte stream, the dialling side
 * being the server. The other end is root inside an environment: whatever it sends, a call fails at worst.
 */
import { connect, type ClientHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport, type ConnectTransportOptions } from '@connectrpc/connect-node';
import type { SupervisorLink } from './instance.ts';

const authority = 'http://supervisor';
/** No message of the protocol is larger; what is longer (files, output) is sent in parts. */
const messageBytesMax = 4 * 1024 * 1024;
/** Bytes under way per stream before the other end has to wait for a reader here. */
const windowBytes = 256 * 1024;
const sessionMemoryMegabytes = 64;

/**
 * Makes a link of a connected stream. Returns at once; a peer that is no supervisor shows in `closed` and in
 * calls that fail with `unavailable`. The stream belongs to the link from now on.
 */
export function linkOverStream(stream: Duplex): SupervisorLink {
  const session = connect(authority, {
    createConnection: () => stream,
    maxSessionMemory: sessionMemoryMegabytes,
    settings: { enablePush: false, initialWindowSize: windowBytes },
  });
  const closed = new Promise<void>((resolve) => {
    session.once('close', resolve);
    // A stream that ends before the session began never closes the session by itself.
    stream.once('close', () => {
      session.destroy();
      resolve();
    });
  });
  // The session reports to its streams and by `close`; without listeners the same errors end the process.
  session.on('error', () => stream.destroy());
  stream.on('error', () => session.destroy());
  session.once('goaway', () => session.destroy());
  const transport = createConnectTransport({
    baseUrl: authority,
    httpVersion: '2',
    useBinaryFormat: true,
    sessionManager: sessionManagerOf(session),
    interceptors: [unavailableWhenGone(session)],
    // A compressed message may be far larger than what the size limit lets through.
    acceptCompression: [],
    readMaxBytes: messageBytesMax,
    writeMaxBytes: messageBytesMax,
  });
  return {
    transport,
    closed,
    close() {
      session.destroy();
      stream.destroy();
    },
  };
}

type SessionManager = NonNullable<Extract<ConnectTransportOptions, { httpVersion: '2' }>['sessionManager']>;

/** One session for ever: connect-node's own manager would dial again, which is not ours to do. */
function sessionManagerOf(session: ClientHttp2Session): SessionManager {
  return {
    authority,
    async request(method, path, headers, options) {
      if (session.closed || session.destroyed) throw gone();
      return session.request({ ...headers, ':method': method, ':path': path }, options);
    },
    notifyResponseByteRead() {},
  };
}

function gone(cause?: unknown): ConnectError {
  const message = 'The connection to the supervisor is gone. Try again when it has dialled again.';
  return new ConnectError(message, Code.Unavailable, undefined, undefined, cause);
}

/** A broken connection shows in many codes below; above it is always `unavailable`, so that callers try again. */
function unavailableWhenGone(session: ClientHttp2Session): Interceptor {
  return (next) => async (request) => {
    const translate = (thrown: unknown): unknown => {
      const over = session.closed || session.destroyed;
      return over && !request.signal.aborted ? gone(thrown) : thrown;
    };
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: translated(response.message, translate) };
    } catch (thrown) {
      throw translate(thrown);
    }
  };
}

async function* translated<Message>(
  messages: AsyncIterable<Message>,
  translate: (thrown: unknown) => unknown,
): AsyncIterable<Message> {
  try {
    yield* messages;
  } catch (thrown) {
    throw translate(thrown);
  }
}
