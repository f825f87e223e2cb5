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
    if (handler?.methods.has(request.method)) return handler.run(known);
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
  refuseForeignHost(request.headers[':authority'] ?? request.headers.host, hostNames);
  if (!URL.canParse(request.url ?? '', 'http://localhost') || !request.url?.startsWith('/')) {
    throw new AtelierError('invalid_argument', 'the request names no path of this server');
  }
  return universalRequestFromNodeRequest(request, response, undefined, undefined);
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
