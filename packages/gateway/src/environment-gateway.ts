/**
 * The runner's own port: below `/environments/<id>/` each environment's operations, processes, ports and
 * logs, for whoever has a token for it. User traffic goes here and never through the management plane.
 */
import { AtelierError, isId, toAtelierError, type Clock } from '@atelier/api';
import { PortService } from '@atelier/api/atelier/port';
import { ProcessService } from '@atelier/api/atelier/process';
import { EnvironmentOpsService } from '@atelier/api/supervisor/environment_ops';
import { createContextKey, createContextValues } from '@connectrpc/connect';
import type { UniversalServerRequest, UniversalServerResponse } from '@connectrpc/connect/protocol';
import type { EnvironmentAccess } from './access.ts';
import { verifyAccessToken, type AccessScope } from './access-token.ts';
import { createDispatcher, type IncomingCall } from './dispatch.ts';
import { wireErrors } from './errors.ts';
import { listen, ownHostNames } from './listener.ts';
import { noSupervisor, relayService } from './relay.ts';

/** What the gateway of a runner needs. */
export interface EnvironmentGatewayOptions {
  readonly access: EnvironmentAccess;
  /** The plane's public key for access tokens; undefined until the plane has told it once. */
  readonly tokenPublicKey: () => Uint8Array | undefined;
  readonly clock: Clock;
  readonly host: string;
  readonly port: number;
}

/** A gateway that listens. */
export interface EnvironmentGateway {
  /** Base URL, such as http://127.0.0.1:4711. */
  readonly url: string;
  close(): Promise<void>;
}

/** A supervisor takes no more either, and to parse far more would hold up everybody. */
const messageBytesMax = 4 * 1024 * 1024;
/** Methods that only look: a page that asks again and again is nobody at work. */
const looks = new Set(['GetGitStatus', 'ListCapabilities', 'ListProcesses', 'ListTerminals']);
const environmentKey = createContextKey('', { description: 'id of the environment that the call is for' });
const logKey = createContextKey<string | undefined>(undefined, {
  description: 'name of the log that is read',
});

/** Opens the gateway's port; the errors are those of `listen`. */
export async function openEnvironmentGateway(
  options: EnvironmentGatewayOptions,
): Promise<EnvironmentGateway> {
  const { access } = options;
  const handle = createDispatcher({
    routes(router) {
      for (const service of [EnvironmentOpsService, ProcessService, PortService]) {
        relayService(router, service, (context) => {
          const environmentId = context.values.get(environmentKey);
          const transport = access.transport(environmentId);
          if (!transport) throw noSupervisor(environmentId);
          if (!looks.has(context.method.name)) access.markActive(environmentId);
          return transport;
        });
      }
    },
    interceptors: [wireErrors()],
    admit: (call) => admit(call, options),
    fallback: (request) => readLog(request, access),
    messageBytesMax,
    hostNames: ownHostNames(options.host),
  });
  const { host, port, clock } = options;
  const listener = await listen({ host, port, clock, handle });
  return { url: listener.url, close: () => listener.close() };
}

async function admit(call: IncomingCall, options: EnvironmentGatewayOptions) {
  const match = /^\/environments\/([^/]+)(\/.*)$/.exec(call.path);
  const [, environmentId = '', methodPath = ''] = match ?? [];
  if (!isId(environmentId)) throw new AtelierError('not_found', `there is nothing at ${call.path}`);
  const log = logNameOf(methodPath);
  const token = /^Bearer (.+)$/i.exec(call.header.get('authorization') ?? '')?.[1];
  if (!token) throw new AtelierError('unauthenticated', 'a bearer token for this environment is needed');
  const publicKey = options.tokenPublicKey();
  if (!publicKey)
    throw new AtelierError('unavailable', 'the runner has not met its management plane yet; try again');
  const claims = await verifyAccessToken(publicKey, token, options.clock.nowMs());
  const needed: AccessScope[] = log === undefined ? ['ops'] : ['ops', 'logs'];
  if (claims.environmentId !== environmentId || !needed.includes(claims.scope)) {
    throw new AtelierError('permission_denied', 'the access token is for something else');
  }
  const values = createContextValues().set(environmentKey, environmentId);
  if (log !== undefined) values.set(logKey, log);
  return { methodPath, values };
}

/** The log that a path names. A name becomes a part of a path on the runner's disk: it goes nowhere but down. */
function logNameOf(methodPath: string): string | undefined {
  const encoded = /^\/logs\/(.+)$/.exec(methodPath)?.[1];
  if (encoded === undefined) return undefined;
  const name = decoded(encoded);
  const parts = name.split('/');
  if (parts.every((part) => /^[\w.@:+-]+$/.test(part) && !/^\.+$/.test(part))) return name;
  throw new AtelierError('not_found', `there is no log ${JSON.stringify(encoded)}`);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Percent signs before bytes that are no UTF-8 are in nobody's name.
    return '';
  }
}

/** `GET /environments/<id>/logs/<name>[?offset=N][&follow=true]`: text, as public clients read it. */
async function readLog(
  request: UniversalServerRequest,
  access: EnvironmentAccess,
): Promise<UniversalServerResponse> {
  const name = request.contextValues?.get(logKey);
  const environmentId = request.contextValues?.get(environmentKey) ?? '';
  if (name === undefined || request.method !== 'GET') {
    throw new AtelierError('unimplemented', 'there is no such method');
  }
  const query = new URL(request.url, 'http://localhost').searchParams;
  const offset = Number(query.get('offset') ?? 0);
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new AtelierError('invalid_argument', 'offset must be a number of bytes');
  }
  const follow = query.get('follow') !== 'false';
  const log = access.log(environmentId, name, { offset, follow, signal: request.signal });
  const lines = log[Symbol.asyncIterator]();
  // The first step is taken before the status is sent, so that a log that does not exist is a 404.
  const first = await lines.next().catch((thrown: unknown) => {
    throw toAtelierError(thrown);
  });
  return {
    status: 200,
    header: new Headers({ 'content-type': 'text/plain; charset=utf-8' }),
    body: rest(first, lines, request.signal),
  };
}

async function* rest(
  first: IteratorResult<Uint8Array>,
  lines: AsyncIterator<Uint8Array>,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  try {
    for (let next = first; !next.done && !signal.aborted; next = await lines.next()) yield next.value;
  } finally {
    await lines.return?.();
  }
}
