/**
 * The dialect of the public 0.x clients, made into the Connect protocol. It differs in three points only:
 * a call without parameters has no content type and no body; a further page comes as `?token=` beside the
 * body; streams are `application/jsonl`, one bare message per line. Protobuf bodies are left alone.
 */
import { AtelierError } from '@atelier/api';
import type {
  UniversalHandlerFn,
  UniversalServerRequest,
  UniversalServerResponse,
} from '@connectrpc/connect/protocol';

const jsonLines = 'application/jsonl';
const connectJson = 'application/connect+json';
const bodyBytesMax = 4 * 1024 * 1024;
const endOfStreamFlag = 0b10;

/** Wraps a handler so that it understands 0.x clients too. */
export function withRestDialect(handler: UniversalHandlerFn): UniversalHandlerFn {
  return async (request) => {
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
  const message = parseObject(body);
  const pagination = { ...(message['pagination'] as object | undefined) } as Record<string, unknown>;
  if (token !== null) pagination['token'] = token;
  if (pageSize !== null) pagination['pageSize'] = Number(pageSize);
  return JSON.stringify({ ...message, pagination });
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch (cause) {
    throw new AtelierError('invalid_argument', 'the request body is not JSON', { cause });
  }
  throw new AtelierError('invalid_argument', 'the request body must be a JSON object');
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

/** Point three, outwards: envelopes become lines; an error at the end of the stream ends the connection. */
function fromEnvelopes(response: UniversalServerResponse): UniversalServerResponse {
  const header = new Headers(response.header);
  if (header.get('content-type') !== connectJson || !response.body) return response;
  header.set('content-type', jsonLines);
  return { ...response, header, body: lines(response.body) };
}

async function* lines(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let rest = Buffer.alloc(0);
  for await (const chunk of body) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5) {
      const end = 5 + rest.readUInt32BE(1);
      if (rest.length < end) break;
      const message = rest.subarray(5, end);
      if ((rest.readUInt8(0) & endOfStreamFlag) === 0) yield Buffer.concat([message, Buffer.from('\n')]);
      else endOrFail(message);
      rest = rest.subarray(end);
    }
  }
}

/** The 0.x dialect has no place for an error in a stream: a cut connection is what its clients understand. */
function endOrFail(message: Buffer): void {
  const end = JSON.parse(message.toString('utf8')) as { error?: { code?: string; message?: string } };
  if (end.error)
    throw new AtelierError('unavailable', `the stream ended with ${end.error.code}: ${end.error.message}`);
}

async function* bytes(content: Uint8Array): AsyncIterable<Uint8Array> {
  yield content;
}

async function readText(request: UniversalServerRequest): Promise<string> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
    total += chunk.length;
    if (total > bodyBytesMax) {
      throw new AtelierError('resource_exhausted', `the request body is larger than ${bodyBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
