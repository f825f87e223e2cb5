/** The plane's port: both public dialects and our own services below `/api`, nothing without a token. */
import { AtelierError } from '@atelier/api';
import {
  createDispatcher,
  listen,
  ownHostNames,
  wireErrors,
  type IncomingCall,
  type Listener,
} from '@atelier/gateway';
import { createContextValues } from '@connectrpc/connect';
import { principalKey } from '../identity/principal.ts';
import type { Plane } from '../plane.ts';
import { validateRequests } from './interceptors.ts';
import { withRestDialect } from './rest-dialect.ts';

/** Where the plane listens. */
export interface ServeOptions {
  readonly host: string;
  readonly port: number;
}

const root = '/api';
/** A runner reports whole environments; public clients send far less. */
const messageBytesMax = 8 * 1024 * 1024;
/** Methods that are called to get a token. */
const withoutToken = new Set(['/gitpod.v1.IdentityService/ExchangeToken']);

/** Opens the port. Errors: those of `listen`. */
export function servePlane(plane: Plane, options: ServeOptions): Promise<Listener> {
  const handle = createDispatcher({
    routes: (router) => plane.routes(router),
    interceptors: [
      wireErrors((method, error) => plane.context.log('a call failed', { method, error: describe(error) })),
      validateRequests(),
    ],
    admit: (call) => admit(plane, call),
    translate: withRestDialect,
    messageBytesMax,
    hostNames: ownHostNames(options.host),
  });
  return listen({ ...options, handle, clock: plane.context.clock });
}

async function admit(plane: Plane, call: IncomingCall) {
  // Browsers send an origin with every call of a page; no page is served from here, so it is a foreign one.
  if (call.header.has('origin')) {
    throw new AtelierError('permission_denied', 'calls from web pages of another origin are not accepted');
  }
  if (!call.path.startsWith(`${root}/`)) {
    throw new AtelierError('not_found', `there is nothing at ${call.path}; the API is below ${root}`);
  }
  const methodPath = call.path.slice(root.length);
  const values = createContextValues();
  if (withoutToken.has(methodPath)) return { methodPath, values };
  const token = /^Bearer (.+)$/i.exec(call.header.get('authorization') ?? '')?.[1]?.trim();
  if (!token)
    throw new AtelierError('unauthenticated', 'a bearer token is needed: Authorization: Bearer <token>');
  return { methodPath, values: values.set(principalKey, await plane.tokens.authenticate(token)) };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
