/** Bytes that a client sends over one connection: HTTP/1.1 or HTTP/2, the public dialects, whole or damaged. */
import { gzipSync } from 'node:zlib';
import type { Random } from '@atelier/api';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { between, pick } from '@atelier/simulation/random';
import { frame } from './frames.ts';
import { messageBytes, messageJson, type Known } from './message.ts';
import { chance, hostileTexts, mutateBytes } from './mutate.ts';

/** What is asked of a port. */
export interface PortShape {
  readonly services: readonly [DescService, ...DescService[]];
  /** Paths that are no methods. */
  readonly paths: readonly [string, ...string[]];
  /** Path before that of a method. */
  readonly base: string;
  /** Bearer tokens, of which the first is the one that most calls have. */
  readonly tokens: readonly [string, ...string[]];
  readonly known: Known;
  /** Whether HTTP/1.1 is spoken too. */
  readonly http1: boolean;
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024));
const hosts = [
  'localhost',
  '127.0.0.1',
  '[::1]',
  'localhost:1',
  'localhost:99999',
  'LOCALHOST',
  'evil.test',
  '',
] as const;
const strayHeaders = [
  'connect-timeout-ms',
  'connect-protocol-version',
  'grpc-timeout',
  'content-encoding',
  'connect-content-encoding',
  'accept-encoding',
  'connect-accept-encoding',
  'content-type',
  'origin',
  'expect',
  'upgrade',
  'authorization',
  'content-length',
  'transfer-encoding',
  'atelier-idempotency-key',
  'cookie',
  'te',
  'x-forwarded-host',
  'range',
] as [string, ...string[]];
const strayValues = [
  '0',
  '1',
  '-1',
  'NaN',
  '1e9',
  '2147483647',
  '2147483648',
  '9999999999',
  '99999999999',
  '99999999H',
  '1S',
  '-1S',
  'gzip',
  'br',
  'identity',
  'gzip, br',
  'chunked',
  '100-continue',
  'h2c',
  'websocket',
  'null',
  'trailers',
  'bytes=0-',
  'application/json',
  'application/proto',
  'application/jsonl',
  'application/grpc',
  'application/grpc-web+json',
  'application/connect+json',
  'application/connect+proto',
  'text/plain',
  'multipart/form-data',
  'Bearer ',
  'Bearer x',
  'application/json; charset=utf-16',
  '*/*',
  'x'.repeat(3e3),
  'x'.repeat(4e4),
  'ÿ',
  '__proto__',
  '',
] as [string, ...string[]];

/** Everything that is sent over one connection. */
export function conversation(random: Random, shape: PortShape): Buffer {
  const call = callOf(random, shape);
  const isHttp2 = !shape.http1 || chance(random, 0.4);
  const bytes = isHttp2 ? http2Bytes(random, call) : http1Bytes(random, call);
  return chance(random, 0.5) ? bytes : mutateBytes(random, bytes);
}

function callOf(random: Random, shape: PortShape): Call {
  const service = pick(random, shape.services);
  const method = pick(random, service.methods as unknown as [DescMethod, ...DescMethod[]]);
  const isStream = method.methodKind !== 'unary';
  const form = pick(random, ['json', 'json', 'proto', 'jsonl', 'grpc-web'] as const);
  const message =
    form === 'json' || form === 'jsonl'
      ? Buffer.from(messageJson(random, method.input, shape.known))
      : messageBytes(random, method.input, shape.known);
  const path = chance(random, 0.95)
    ? `${shape.base}/${service.typeName}/${method.name}`
    : pick(random, shape.paths);
  const query = chance(random, 0.1)
    ? pick(random, ['?token=x', '?pageSize=5', '?pageSize=-1', '?token=', '?%', '#', '?offset=x'])
    : '';
  const headers: [string, string][] = [];
  const type = typeOf(form, isStream);
  if (type !== '' && chance(random, 0.97)) headers.push(['content-type', type]);
  if (chance(random, 0.97)) {
    const token = chance(random, 0.9) ? shape.tokens[0] : pick(random, shape.tokens);
    headers.push(['authorization', `Bearer ${token}`]);
  }
  if (chance(random, 0.3)) headers.push([pick(random, strayHeaders), pick(random, strayValues)]);
  const isZipped = chance(random, 0.03);
  if (isZipped) headers.push([isStream ? 'connect-content-encoding' : 'content-encoding', 'gzip']);
  let body: Uint8Array = chance(random, 0.2) ? mutateBytes(random, message) : message;
  if (isZipped) body = chance(random, 0.3) ? bomb : gzipSync(body);
  if (form === 'grpc-web' || (isStream && form !== 'jsonl' && form !== 'json'))
    body = framed(random, body, isZipped);
  if (chance(random, 0.01)) body = Buffer.alloc(5 * 1024 * 1024, '[');
  return { method: chance(random, 0.95) ? 'POST' : pick(random, methods), path: path + query, headers, body };
}

const methods = ['GET', 'PUT', 'HEAD', 'OPTIONS', 'TRACE', 'CONNECT', 'PRI', 'get', ''] as [
  string,
  ...string[],
];

function typeOf(form: 'json' | 'proto' | 'jsonl' | 'grpc-web', isStream: boolean): string {
  if (form === 'jsonl') return isStream ? 'application/jsonl' : '';
  if (form === 'grpc-web') return 'application/grpc-web+proto';
  return isStream ? `application/connect+${form}` : `application/${form}`;
}

function framed(random: Random, message: Uint8Array, isZipped: boolean): Buffer {
  const bytes = frame(random, message);
  if (isZipped) bytes[0] = 1;
  return chance(random, 0.1) ? Buffer.concat([bytes, frame(random, message)]) : bytes;
}

function http1Bytes(random: Random, { method, path, headers, body }: Call): Buffer {
  const lines = [
    `${method} ${path} HTTP/${chance(random, 0.97) ? '1.1' : pick(random, ['1.0', '0.9', '2.0', '9'])}`,
  ];
  lines.push(`host: ${chance(random, 0.9) ? 'localhost' : pick(random, hosts)}`);
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  if (chance(random, 0.01)) for (let count = 0; count < 3000; count += 1) lines.push(`x-${count}: y`);
  const isChunked = chance(random, 0.1);
  const length = chance(random, 0.97) ? body.length : pick(random, [0, body.length + 1, 2 ** 40, -1]);
  lines.push(isChunked ? 'transfer-encoding: chunked' : `content-length: ${length}`);
  const content = isChunked ? chunked(random, body) : body;
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), content]);
}

function chunked(random: Random, body: Uint8Array): Buffer {
  const size = chance(random, 0.9)
    ? body.length.toString(16)
    : pick(random, ['0', '-1', 'ffffffffffffffff', 'x', '1;a=b']);
  return Buffer.concat([Buffer.from(`${size}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]);
}

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const settings = http2Frame(4, 0, 0, Buffer.alloc(0));

function http2Bytes(random: Random, { method, path, headers, body }: Call): Buffer {
  const block = Buffer.concat([
    literal(':method', method),
    literal(':scheme', chance(random, 0.98) ? 'http' : pick(random, hostileTexts)),
    literal(':path', path),
    literal(':authority', chance(random, 0.9) ? 'localhost' : pick(random, hosts)),
    ...headers.map(([name, value]) => literal(name, value)),
  ]);
  const frames = [preface, settings];
  const endsEarly = body.length === 0;
  for (let from = 0; from < Math.max(1, block.length); from += 16_384) {
    const isLast = from + 16_384 >= block.length;
    const flags = (isLast ? 4 : 0) | (endsEarly && from === 0 ? 1 : 0);
    frames.push(http2Frame(from === 0 ? 1 : 9, flags, 1, block.subarray(from, from + 16_384)));
  }
  // The window of a stream takes no more; what is larger is the other protocol's.
  const sent = body.subarray(0, 60_000);
  for (let from = 0; from < sent.length; from += 16_384) {
    const isLast = from + 16_384 >= sent.length && chance(random, 0.97);
    frames.push(http2Frame(0, isLast ? 1 : 0, 1, sent.subarray(from, from + 16_384)));
  }
  if (chance(random, 0.1)) frames.splice(between(random, 1, frames.length), 0, strayFrame(random));
  return Buffer.concat(frames);
}

function strayFrame(random: Random): Buffer {
  const payload = Buffer.alloc(pick(random, [0, 1, 4, 5, 6, 8, 16, 200, 16_385]), between(random, 0, 255));
  const repeated = chance(random, 0.1) ? 500 : 1;
  const one = http2Frame(
    between(random, 0, 12),
    between(random, 0, 255),
    pick(random, [0, 1, 2, 3, 0x7fff_ffff]),
    payload,
  );
  return Buffer.concat(Array.from({ length: repeated }, () => one));
}

function http2Frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header as HPACK has it in its plainest form. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), lengthPrefixed(name), lengthPrefixed(value)]);
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const prefix = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) prefix.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...prefix, rest]), bytes]);
}
