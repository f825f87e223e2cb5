/** The way to a real plane: HTTP/2 with a bearer token that is read anew for each connection. */
import { readFile } from 'node:fs/promises';
import { AtelierError } from '@atelier/api';
import { RunnerLinkService } from '@atelier/api/atelier/runner_link';
import { IdentityService } from '@atelier/api/gitpod/identity';
import { Principal } from '@atelier/api/gitpod/subject';
import { createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport, Http2SessionManager } from '@connectrpc/connect-node';
import type { Dial } from './plane-link.ts';

/** A plane that can be dialled. */
export interface PlaneAddress {
  readonly dial: Dial;
  /** Asks the plane whose token this is. `permission_denied` when it is no runner's. */
  askRunnerId(): Promise<string>;
  /** Ends all connections. */
  close(): void;
}

const messageBytesMax = 64 * 1024 * 1024;

/** The plane at a base URL (without `/api`), with the token in a file. */
export function planeAt(planeUrl: string, tokenFile: string): PlaneAddress {
  const baseUrl = `${planeUrl.replace(/\/+$/, '')}/api`;
  const sessionManager = new Http2SessionManager(baseUrl, { pingIntervalMs: 15_000 });
  const authorized: Interceptor = (next) => async (request) => {
    request.header.set('authorization', `Bearer ${await readToken(tokenFile)}`);
    return next(request);
  };
  const transport: Transport = createConnectTransport({
    baseUrl,
    httpVersion: '2',
    sessionManager,
    interceptors: [authorized],
    readMaxBytes: messageBytesMax,
  });
  const link = createClient(RunnerLinkService, transport);
  const identity = createClient(IdentityService, transport);
  return {
    dial: (requests, signal) => link.sync(requests, { signal }),
    async askRunnerId() {
      const { subject } = await identity.getAuthenticatedIdentity({}, { timeoutMs: 10_000 });
      if (subject?.principal === Principal.RUNNER) return subject.id;
      throw new AtelierError(
        'permission_denied',
        `The token in ${tokenFile} is no runner's. Give the runner a token of its own.`,
      );
    },
    close: () => sessionManager.abort(),
  };
}

async function readToken(tokenFile: string): Promise<string> {
  try {
    return (await readFile(tokenFile, 'utf8')).trim();
  } catch (cause) {
    throw new AtelierError(
      'unauthenticated',
      `The runner's token ${tokenFile} cannot be read. Start the management plane first, or name the right file.`,
      { cause },
    );
  }
}
