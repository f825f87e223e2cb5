/** From a request on the port to a Connect handler: who may come in, and where it goes. */
import { AtelierError, toAtelierError } from '@atelier/api';
import {
  createConnectRouter,
  createContextValues,
  type ConnectRouter,
  type ContextValues,
  type Interceptor,
} from '@connectrpc/connect';
import type {
  UniversalHandlerFn,
  UniversalServerRequest,
  UniversalServerResponse,
} from '@connectrpc/connect/protocol';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
  type connectNodeAdapter,
} from '@connectrpc/connect-node';
import { unreadablePattern } from './errors.ts';
import { httpStatusOf, retryHeadersOf } from './http-status.ts';

/** A request handler for node:http and node:http2 servers. */
export type NodeHandler = ReturnType<typeof connectNodeAdapter>;

/** A request before anything was read of it. */
export interface IncomingCall {
  /** Path without query, as sent. */
  readonly path: string;
  readonly header: Headers;
}

/** How calls reach handlers. */
export interface DispatchOptions {
  /** Registers the services. */
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: Interceptor[];
  /**
   * Decides who calls, before the body is read; throws an AtelierError to refuse. Gives what handlers are told,
   * and the path of the method below the services' root.
   */
  readonly admit: (
    call: IncomingCall,
  ) => Promise<{ readonly methodPath: string; readonly values?: ContextValues }>;
  /** Wraps a handler, for clients that speak another dialect. */
  readonly translate?: (handler: UniversalHandlerFn) => UniversalHandlerFn;
  /** Answers what is not a method; `unimplemented` without it. */
  readonly fallback?: UniversalHandlerFn;
  /** Larger messages are refused. */
  readonly messageBytesMax: number;
  /** Host names that a browser may have come by; a request for another one is refused (DNS rebinding). */
  readonly hostNames: ReadonlySet<string>;
}

/** Makes a handler for node:http and node:http2 servers. */
export function createDispatcher(options: DispatchOptions): NodeHandler {
  const router = createConnectRouter({
    interceptors: options.interceptors,
    acceptCompression: [compressionGzip],
    readMaxBytes: options.messageBytesMax,
    // A field that is not in our definition is nobody's business here, and must not pass through.
    binaryOptions: { readUnknownFields: false },
    writeMaxBytes: 0xffffffff,
  });
  options.routes(router);
  const translate = options.translate ?? ((handler) => handler);
  const handlers = new Map(
    router.handlers.map((handler) => [
      handler.requestPath,
      { run: translate(handler), methods: new Set(handler.allowedMethods) },
    ]),
  );

  async function answer(request: UniversalServerRequest): Promise<UniversalServerResponse> {
    const path = new URL(request.url).pathname;
    const { methodPath, values } = await options.admit({ path, header: request.header });
    const handler = handlers.get(methodPath);
    const known = { ...request, contextValues: values ?? createContextValues() };
    if (handler?.methods.has(request.method)) return withoutBlame(await handler.run(known));
    if (options.fallback) return options.fallback(known);
    throw new AtelierError(
      'unimplemented',
      `${request.method} ${methodPath} is not implemented by this server`,
    );
  }

  return (nodeRequest, nodeResponse) => {
    receive(nodeRequest, nodeResponse, options.hostNames)
      .then(answer)
      .catch((thrown: unknown) => errorResponse(describe(thrown)))
      .then((response) => universalResponseToNodeResponse(response, nodeResponse))
      .catch(() => nodeResponse.destroy());
  };
}

type NodeRequest = Parameters<NodeHandler>[0];
type NodeResponse = Parameters<NodeHandler>[1];

/** The request as handlers read it. What no URL can be made of would throw where nobody catches. */
async function receive(
  request: NodeRequest,
  response: NodeResponse,
  hostNames: ReadonlySet<string>,
): Promise<UniversalServerRequest> {
  const host = request.headers[':authority'] ?? request.headers.host;
  refuseForeignHost(host, hostNames);
  if (!URL.canParse(request.url ?? '', `http://${String(host)}`) || !request.url?.startsWith('/')) {
    throw new AtelierError('invalid_argument', 'the request names no path of this server');
  }
  const universal = universalRequestFromNodeRequest(request, response, undefined, undefined);
  for (const name of ['connect-timeout-ms', 'grpc-timeout']) {
    if (timeoutMsOf(universal.header.get(name) ?? '') > timerMsMax) universal.header.delete(name);
  }
  return universal;
}

/** A timer for longer fires at once. Whoever gives a call more than 24 days does not mean a deadline. */
const timerMsMax = 0x7fffffff;

const timeoutUnitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, '': 1 };

/** The milliseconds of a timeout as Connect or gRPC has it, where they can be too many; 0 for anything else. */
function timeoutMsOf(text: string): number {
  const match = /^(\d{1,10})([HMS]?)$/.exec(text);
  return match ? Number(match[1]) * (timeoutUnitsMs[match[2] ?? ''] ?? 1) : 0;
}

/** A browser sends the name that it was told; a name that is not ours means that a page was tricked into it. */
function refuseForeignHost(host: unknown, hostNames: ReadonlySet<string>): void {
  const name = String(host ?? '')
    .replace(/:\d+$/, '')
    .toLowerCase();
  if (hostNames.has(name)) return;
  throw new AtelierError(
    'permission_denied',
    `this server is not called ${JSON.stringify(name)}; use its own address`,
  );
}

/**
 * A call whose binary message cannot be read is the caller's mistake, as it is in JSON; the library answers it as
 * ours. What fails later, in a stream, passes `wireErrors`.
 */
async function withoutBlame(response: UniversalServerResponse): Promise<UniversalServerResponse> {
  if (response.status !== 500 || !response.body) return response;
  const parts: Uint8Array[] = [];
  for await (const part of response.body) parts.push(part);
  const body = Buffer.concat(parts);
  const message = unreadableMessage(body.toString('utf8'));
  return message === undefined
    ? { ...response, body: once(body) }
    : errorResponse({ code: 'invalid_argument', message });
}

async function* once(body: Uint8Array): AsyncIterable<Uint8Array> {
  yield body;
}

function unreadableMessage(text: string): string | undefined {
  try {
    const { code, message } = JSON.parse(text) as Partial<WireError>;
    return code === 'internal' && unreadablePattern.test(message ?? '') ? message : undefined;
  } catch {
    return undefined;
  }
}

interface WireError {
  readonly code: string;
  readonly message: string;
}

function describe(thrown: unknown): WireError {
  const error = toAtelierError(thrown);
  return { code: error.code, message: error.message };
}

/** An error as every dialect reads it: the Connect JSON error with its HTTP status. */
export function errorResponse(error: WireError): UniversalServerResponse {
  const body = Buffer.from(JSON.stringify(error));
  return {
    status: httpStatusOf(error.code),
    header: new Headers({ 'content-type': 'application/json', ...retryHeadersOf(error.code) }),
    body: (async function* () {
      yield body;
    })(),
  };
}
