/**
 * The dialect of the public 0.x clients, made into the Connect protocol. It differs in three points only:
 * a call without parameters has no content type and no body; a further page comes as `?token=` beside the
 * body; streams are `application/jsonl`, one bare message per line. Protobuf bodies are left alone.
 */
import { AtelierError } from '@atelier/api';
import { errorResponse } from '@atelier/gateway';
import type {
  UniversalHandlerFn,
  UniversalServerRequest,
  UniversalServerResponse,
} from '@connectrpc/connect/protocol';

const jsonLines = 'application/jsonl';
const connectJson = 'application/connect+json';
const bodyBytesMax = 4 * 1024 * 1024;
/** Of a larger body nothing more is read: its connection is cut. */
const bodyBytesDropped = 64 * 1024 * 1024;
const endOfStreamFlag = 0b10;

/** Wraps a handler so that it understands 0.x clients too. */
export function withRestDialect(handler: UniversalHandlerFn): UniversalHandlerFn {
  return async (request) => {
    // These clients send plain bodies by POST; what is compressed or in an address is another client's.
    const encoding = request.header.get('content-encoding') ?? 'identity';
    if (request.method !== 'POST' || encoding !== 'identity') return handler(request);
    const contentType = (request.header.get('content-type') ?? '').split(';', 1)[0]?.trim() ?? '';
    if (contentType === jsonLines) return fromEnvelopes(await handler(await toEnvelope(request)));
    if (contentType === '' || contentType === 'application/json') return handler(await completeJson(request));
    return handler(request);
  };
}

/** Points one and two: a content type, a body, and the page token inside the body. */
async function completeJson(request: UniversalServerRequest): Promise<UniversalServerRequest> {
  const text = await readText(request);
  const header = new Headers(request.header);
  header.set('content-type', 'application/json');
  header.delete('content-length');
  return { ...request, header, body: bytes(Buffer.from(withPagination(text, request.url))) };
}

function withPagination(text: string, url: string): string {
  const body = text.trim() === '' ? '{}' : text;
  const query = new URL(url, 'http://localhost').searchParams;
  const token = query.get('token');
  const pageSize = query.get('pageSize');
  if (token === null && pageSize === null) return body;
  const message = parseObject(body, 'the request body');
  const pagination = parseObject(JSON.stringify(message['pagination'] ?? {}), 'pagination');
  if (token !== null) pagination['token'] = token;
  if (pageSize !== null) pagination['pageSize'] = wholeNumber(pageSize);
  return JSON.stringify({ ...message, pagination });
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new AtelierError('invalid_argument', 'pageSize must be a whole number');
}

function parseObject(text: string, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AtelierError('invalid_argument', `${what} is not JSON`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new AtelierError('invalid_argument', `${what} must be a JSON object`);
}

/** Point three, inwards: the one line of the request becomes one enveloped message. */
async function toEnvelope(request: UniversalServerRequest): Promise<UniversalServerRequest> {
  const text = (await readText(request)).trim();
  const header = new Headers(request.header);
  header.set('content-type', connectJson);
  header.delete('content-length');
  const message = Buffer.from(text === '' ? '{}' : text);
  const envelope = Buffer.alloc(5 + message.length);
  envelope.writeUInt32BE(message.length, 1);
  message.copy(envelope, 5);
  return { ...request, header, body: bytes(envelope) };
}

/**
 * Point three, outwards: envelopes become lines. A stream that begins with its error is answered with that
 * error; one that ends with an error later ends the connection, because the dialect has no place for it.
 */
async function fromEnvelopes(response: UniversalServerResponse): Promise<UniversalServerResponse> {
  const header = new Headers(response.header);
  if (header.get('content-type') !== connectJson || !response.body) return response;
  const frames = envelopes(response.body);
  const first = await frames.next();
  const failure = first.done ? undefined : endErrorOf(first.value);
  if (failure) {
    await frames.return();
    return errorResponse(failure);
  }
  header.set('content-type', jsonLines);
  return { ...response, header, body: lines(first, frames) };
}

interface Envelope {
  readonly isEnd: boolean;
  readonly message: Buffer;
}

async function* envelopes(body: AsyncIterable<Uint8Array>): AsyncGenerator<Envelope, void, undefined> {
  let rest = Buffer.alloc(0);
  for await (const chunk of body) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5) {
      const end = 5 + rest.readUInt32BE(1);
      if (rest.length < end) break;
      yield { isEnd: (rest.readUInt8(0) & endOfStreamFlag) !== 0, message: rest.subarray(5, end) };
      rest = rest.subarray(end);
    }
  }
}

async function* lines(
  first: IteratorResult<Envelope, void>,
  frames: AsyncGenerator<Envelope, void, undefined>,
): AsyncIterable<Uint8Array> {
  try {
    for (let next = first; !next.done; next = await frames.next()) {
      const failure = endErrorOf(next.value);
      if (failure) {
        throw new AtelierError('unavailable', `the stream ended with ${failure.code}: ${failure.message}`);
      }
      if (!next.value.isEnd) yield Buffer.concat([next.value.message, Buffer.from('\n')]);
    }
  } finally {
    await frames.return();
  }
}

/** The error that a stream ends with, when the envelope is its end and there is one. */
function endErrorOf({ isEnd, message }: Envelope): { code: string; message: string } | undefined {
  if (!isEnd) return undefined;
  const { error } = JSON.parse(message.toString('utf8')) as { error?: { code?: string; message?: string } };
  return error && { code: error.code ?? 'unknown', message: error.message ?? '' };
}

async function* bytes(content: Uint8Array): AsyncIterable<Uint8Array> {
  yield content;
}

/** The whole body. What is too large is read to its end and dropped, so that the client hears why. */
async function readText(request: UniversalServerRequest): Promise<string> {
  const tooLarge = new AtelierError(
    'resource_exhausted',
    `the request body is larger than ${bodyBytesMax} bytes`,
  );
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
    total += chunk.length;
    if (total > bodyBytesDropped) throw tooLarge;
    if (total <= bodyBytesMax) chunks.push(chunk);
  }
  if (total > bodyBytesMax) throw tooLarge;
  return Buffer.concat(chunks).toString('utf8');
}
