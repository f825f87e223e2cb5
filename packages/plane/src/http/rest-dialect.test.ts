import type { UniversalServerRequest, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { describe, expect, it } from 'vitest';
import { withRestDialect } from './rest-dialect.ts';

async function* chunks(...parts: (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

async function textOf(
  body: UniversalServerRequest['body'] | UniversalServerResponse['body'],
): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of body as AsyncIterable<Uint8Array>) parts.push(part);
  return Buffer.concat(parts).toString('latin1');
}

interface Sent {
  readonly type?: string;
  readonly body?: string;
  readonly query?: string;
  readonly method?: string;
  readonly encoding?: string;
}

/** What the handler behind the dialect is given, and what the client gets for the answer. */
async function exchange(sent: Sent, answer: Partial<UniversalServerResponse> = {}) {
  const header = new Headers();
  if (sent.type !== undefined) header.set('content-type', sent.type);
  if (sent.encoding !== undefined) header.set('content-encoding', sent.encoding);
  const seen = { type: null as string | null, body: '' };
  const handler = withRestDialect(async (request) => {
    seen.type = request.header.get('content-type');
    seen.body = await textOf(request.body);
    return { status: 200, ...answer };
  });
  const response = await handler({
    httpVersion: '1.1',
    method: sent.method ?? 'POST',
    url: `http://localhost/x${sent.query ?? ''}`,
    header,
    body: chunks(sent.body ?? ''),
    signal: new AbortController().signal,
  } as UniversalServerRequest);
  return { seen, response };
}

const envelope = (flags: number, message: string): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(Buffer.byteLength(message), 1);
  return Buffer.concat([head, Buffer.from(message)]);
};

const json = 'application/json';

describe('a single call', () => {
  it.each<[what: string, sent: Sent, type: string | null, body: string]>([
    ['without anything', {}, json, '{}'],
    ['with a body', { type: json, body: '{"a":1}' }, json, '{"a":1}'],
    ['with a charset', { type: `${json}; charset=utf-8`, body: '{"a":1}' }, json, '{"a":1}'],
    [
      'for a further page',
      { type: json, body: '{"a":1}', query: '?token=t' },
      json,
      '{"a":1,"pagination":{"token":"t"}}',
    ],
    ['for a page by address alone', { query: '?pageSize=5' }, json, '{"pagination":{"pageSize":5}}'],
    [
      'for a page, over what the body says',
      { type: json, body: '{"pagination":{"pageSize":3,"token":"a"}}', query: '?token=b' },
      json,
      '{"pagination":{"pageSize":3,"token":"b"}}',
    ],
    ['in protobuf', { type: 'application/proto', body: '', query: '?token=t' }, 'application/proto', ''],
    [
      'in a Connect stream',
      { type: 'application/connect+proto', body: '\0' },
      'application/connect+proto',
      '\0',
    ],
    ['that is compressed', { type: json, body: '\x1f', encoding: 'gzip' }, json, '\x1f'],
    ['by GET', { method: 'GET', query: '?message={}' }, null, ''],
  ])('%s', async (_what, sent, type, body) => {
    expect((await exchange(sent)).seen).toEqual({ type, body });
  });

  it.each<[string, Sent, string]>([
    ['a body that is no JSON', { body: '{', query: '?token=t' }, 'the request body is not JSON'],
    ['a list', { body: '[]', query: '?token=t' }, 'the request body must be a JSON object'],
    [
      'a page that is none',
      { body: '{"pagination":[]}', query: '?token=t' },
      'pagination must be a JSON object',
    ],
    ['a size that is none', { query: '?pageSize=many' }, 'pageSize must be a whole number'],
  ])('with %s is refused', async (_what, sent, message) => {
    await expect(exchange(sent)).rejects.toMatchObject({ code: 'invalid_argument', message });
  });
});

describe('a stream', () => {
  const sent: Sent = { type: 'application/jsonl', body: '{"organization":true}\n' };
  const answer = (...parts: Uint8Array[]): Partial<UniversalServerResponse> => ({
    header: new Headers({ 'content-type': 'application/connect+json' }),
    body: chunks(...parts),
  });

  it('goes in as one envelope', async () => {
    const { seen } = await exchange(sent);
    const body = envelope(0, '{"organization":true}').toString('latin1');
    expect(seen).toEqual({ type: 'application/connect+json', body });
  });

  it('comes out as lines, however it was cut', async () => {
    const whole = Buffer.concat([envelope(0, '{"a":1}'), envelope(0, '{}'), envelope(2, '{}')]);
    for (let size = 1; size <= whole.length; size += 1) {
      const parts: Uint8Array[] = [];
      for (let at = 0; at < whole.length; at += size) parts.push(whole.subarray(at, at + size));
      const { response } = await exchange(sent, answer(...parts));
      expect(response.header?.get('content-type')).toBe('application/jsonl');
      expect(await textOf(response.body)).toBe('{"a":1}\n{}\n');
    }
  });

  it('that begins with an error is an error', async () => {
    const end = '{"error":{"code":"not_found","message":"no"}}';
    const { response } = await exchange(sent, answer(envelope(2, end)));
    expect(response.status).toBe(404);
    expect(await textOf(response.body)).toBe('{"code":"not_found","message":"no"}');
  });

  it('that ends with an error is cut', async () => {
    const end = '{"error":{"code":"internal","message":"no"}}';
    const { response } = await exchange(sent, answer(envelope(0, '{}'), envelope(2, end)));
    await expect(textOf(response.body)).rejects.toThrow('the stream ended with internal: no');
  });
});
