/** Sends the bytes of a conversation to a port and judges what comes back. */
import type { Duplex } from 'node:stream';
import { wireCode } from './target.ts';

/**
 * The server is in this process and what it needs is there: when the event loop has turned this often and nothing
 * has come, it waits for more, or streams what may come one day. A time would depend on how busy the machine is.
 */
const quietTurnsMax = 60;

/**
 * What the server said: a code, `ok`, `closed` when it hung up without a word, or `waiting` when it waits for the
 * rest of a request or goes on with a stream.
 */
export async function converse(socket: Duplex, bytes: Uint8Array): Promise<string> {
  const parts: Buffer[] = [];
  let quietTurns = 0;
  const state = { isOver: false, isConnected: !('connecting' in socket) };
  socket.on('connect', () => (state.isConnected = true));
  socket.on('data', (part) => {
    parts.push(part);
    quietTurns = 0;
  });
  socket.on('drain', () => (quietTurns = 0));
  socket.on('error', () => (state.isOver = true));
  socket.on('close', () => (state.isOver = true));
  socket.write(bytes);
  for (; !state.isOver && quietTurns < quietTurnsMax; quietTurns += state.isConnected ? 1 : 0) {
    await new Promise((resolve) => setImmediate(resolve));
    if (quietTurns === 0 && isWhole(Buffer.concat(parts))) break;
  }
  socket.destroy();
  return judge(Buffer.concat(parts), quietTurns >= quietTurnsMax);
}

/** Whether the answer to the first request is there, or the connection is given up by the server. */
function isWhole(bytes: Buffer): boolean {
  if (bytes.subarray(0, 7).toString('latin1') !== 'HTTP/1.') return isWholeHttp2(bytes);
  const text = bytes.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const head = text.slice(0, end).toLowerCase();
  if (head.startsWith('http/1.1 100')) return false;
  if (/^transfer-encoding: chunked/m.test(head)) return text.endsWith('0\r\n\r\n');
  const length = Number(/^content-length: (\d+)/m.exec(head)?.[1] ?? 0);
  return text.length >= end + 4 + length;
}

const [data, headers, reset, goAway] = [0, 1, 3, 7];

function isWholeHttp2(bytes: Buffer): boolean {
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const type = bytes.readUInt8(at + 3);
    const endsStream = (bytes.readUInt8(at + 4) & 1) !== 0;
    if (type === reset || type === goAway || (endsStream && (type === data || type === headers))) return true;
  }
  return false;
}

function judge(bytes: Buffer, hasHungUp: boolean): string {
  const text = bytes.toString('latin1');
  if (/\n\s+at \S+ ?\(?.*:\d+:\d+/.test(text)) throw new Error(`a stack is sent: ${text.slice(0, 2000)}`);
  const code = /"code":"(\w+)"/.exec(text)?.[1];
  if (code !== undefined) return wireCode(code, text.slice(0, 2000));
  // The library answers what it cannot decode with 13, as gRPC has it.
  if (
    /grpc-status: ?(?:13|2|15)\b/.test(text) &&
    !/grpc-message: ?(?:parse%20|protocol%20error|received%20compressed)/.test(text)
  )
    throw new Error(`an internal error is sent: ${text.slice(0, 2000)}`);
  const status = /^HTTP\/1\.\d (\d{3})/.exec(text)?.[1];
  if (status === '500') throw new Error(`500 is sent: ${text.slice(0, 2000)}`);
  if (status !== undefined) return status === '200' ? 'ok' : `HTTP ${status}`;
  if (hasHungUp) return 'waiting';
  return bytes.length > 0 ? 'HTTP/2' : 'closed';
}

/** The bytes with a text replaced by another one of the same length. */
export function replaced(bytes: Uint8Array, replacements: Readonly<Record<string, string>>): Buffer {
  let text = Buffer.from(bytes).toString('latin1');
  for (const [from, to] of Object.entries(replacements)) {
    if (from.length !== to.length) throw new Error(`${to} is not as long as ${from}`);
    text = text.replaceAll(from, to);
  }
  return Buffer.from(text, 'latin1');
}
