/** The other end of a client in this process: it answers with bytes. */
import type { Transport } from '@connectrpc/connect';
import type { UniversalClientFn, UniversalClientResponse } from '@connectrpc/connect/protocol';
import { createTransport } from '@connectrpc/connect/protocol-connect';

/** A transport whose calls are answered by `answer`, which is given the path of the method. */
export function transportTo(
  answer: (path: string) => UniversalClientResponse,
  messageBytesMax: number,
): Transport {
  const httpClient: UniversalClientFn = async ({ url, body }) => {
    // A peer that reads: otherwise a client would wait for a place in the window.
    void drained(body);
    return answer(new URL(url).pathname);
  };
  return createTransport({
    httpClient,
    baseUrl: 'http://peer',
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 1024,
    readMaxBytes: messageBytesMax,
    writeMaxBytes: messageBytesMax,
  });
}

async function drained(body: AsyncIterable<Uint8Array> = nothing()): Promise<void> {
  const parts = body[Symbol.asyncIterator]();
  try {
    for (let next = await parts.next(); !next.done; next = await parts.next());
  } catch {
    // The client has given up.
  }
}

async function* nothing(): AsyncIterable<Uint8Array> {}

/** A good answer with this body. */
export function answered(type: string, parts: readonly Uint8Array[]): UniversalClientResponse {
  return {
    status: 200,
    header: new Headers({ 'content-type': `application/${type}` }),
    trailer: new Headers(),
    body: (async function* () {
      yield* parts;
    })(),
  };
}
