/** One connection to a server: HTTP/2 without TLS, kept open, with our errors and repetition where it is safe. */
import { isRetryable, sleep, toAtelierError, type AtelierError, type Clock } from '@atelier/api';
import { MethodOptions_IdempotencyLevel as IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor, StreamResponse, Transport } from '@connectrpc/connect';
import { createConnectTransport, Http2SessionManager } from '@connectrpc/connect-node';

/** Makes a create harmless to repeat: the same key gives the same environment. */
export const idempotencyHeader = 'atelier-idempotency-key';

/** How a connection is opened. */
export interface ConnectionOptions {
  /** Base URL of the services, such as http://127.0.0.1:4711/api. */
  readonly baseUrl: string;
  /** The bearer token, asked for with every call. */
  readonly token: () => string;
  readonly clock: Clock;
  /** How long a call that may be repeated is repeated. 0 turns repetition off. */
  readonly patienceMs: number;
}

/** A connection that opens with its first call. */
export interface Connection {
  /** Its errors are AtelierErrors. */
  readonly transport: Transport;
  /** Ends the connection and every stream on it. */
  close(): void;
}

const pingIntervalMs = 15_000;
const pingTimeoutMs = 10_000;
const callsMax = 3;
const pauseMs = { first: 100, most: 1_000 };

/** Opens a connection with the first call. */
export function openConnection(options: ConnectionOptions): Connection {
  const sessionManager = new Http2SessionManager(options.baseUrl, { pingIntervalMs, pingTimeoutMs });
  const transport = createConnectTransport({
    baseUrl: options.baseUrl,
    httpVersion: '2',
    sessionManager,
    // Compression costs more than the bytes it saves on the way to the next process.
    acceptCompression: [],
    interceptors: [bearer(options.token)],
  });
  return { transport: ourTransport(transport, options), close: () => sessionManager.abort() };
}

function bearer(token: () => string): Interceptor {
  return (next) => (request) => {
    request.header.set('authorization', `Bearer ${token()}`);
    return next(request);
  };
}

type Pace = Pick<ConnectionOptions, 'clock' | 'patienceMs'>;

/** Gives a transport our errors, and repeats unary calls that change nothing when made twice. */
export function ourTransport(transport: Transport, pace: Pace): Transport {
  return {
    unary: (method, signal, timeoutMs, header, input, contextValues) =>
      repeated(method, header, signal, pace, () =>
        transport.unary(method, signal, timeoutMs, header, input, contextValues),
      ),
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const response = await ours(() =>
        transport.stream(method, signal, timeoutMs, header, input, contextValues),
      );
      return { ...response, message: ourMessages(response.message) } as StreamResponse<
        typeof method.input,
        typeof method.output
      > as never;
    },
  };
}

async function ours<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw toAtelierError(thrown);
  }
}

async function* ourMessages<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (thrown) {
    throw toAtelierError(thrown);
  }
}

async function repeated<T>(
  method: DescMethod,
  header: ConstructorParameters<typeof Headers>[0],
  signal: AbortSignal | undefined,
  { clock, patienceMs }: Pace,
  call: () => Promise<T>,
): Promise<T> {
  const untilMs = clock.nowMs() + patienceMs;
  const may = isRepeatable(method, new Headers(header));
  let waitMs = pauseMs.first;
  for (let count = 1; ; count += 1) {
    try {
      return await call();
    } catch (thrown) {
      const error: AtelierError = toAtelierError(thrown);
      // A server that is away comes back; one that is there and fails hardly does better for being asked longer.
      const isOver = clock.nowMs() + waitMs > untilMs || (error.code !== 'unavailable' && count >= callsMax);
      if (!may || !isRetryable(error) || isOver || signal?.aborted) throw error;
    }
    await sleep(clock, waitMs, signal);
    waitMs = Math.min(waitMs * 2, pauseMs.most);
  }
}

/** Methods that only say what is wanted, or make something that nobody else sees. */
const repeatableMethods = new Set([
  'startEnvironment',
  'stopEnvironment',
  'deleteEnvironment',
  'createEnvironmentAccessToken',
  'createEnvironmentLogsToken',
  'stopService',
  'stopTaskExecution',
  'getPlane',
]);

function isRepeatable(method: DescMethod, header: Headers): boolean {
  if (header.has(idempotencyHeader)) return true;
  return method.idempotency === IdempotencyLevel.NO_SIDE_EFFECTS || repeatableMethods.has(method.localName);
}
