import { afterEach, describe, expect, it } from 'vitest';
import { createClient, runProcess, type AtelierClient } from './index.ts';
import {
  addEnvironment,
  addProcesses,
  EchoProcess,
  environmentId,
  startFakeServer,
  type FakeServer,
} from './testing/server.ts';

let server: FakeServer;
let client: AtelierClient;
const processes = new Map<string, EchoProcess>();

afterEach(async () => {
  client.close();
  await server.close();
  processes.clear();
});

async function open(
  onOutput: (bytesSent: number) => void = () => undefined,
  patienceMs = 5_000,
): Promise<void> {
  server = await startFakeServer((router, own) => {
    addEnvironment(router, own);
    addProcesses(router, processes, onOutput);
  });
  client = createClient({ url: server.url, token: 'secret', patienceMs });
}

async function* parts(text: string, size: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < text.length; offset += size) {
    yield Buffer.from(text.slice(offset, offset + size));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const text = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join('');

describe('runProcess', () => {
  it('passes input and output through and gives the exit code', async () => {
    await open();
    const seen: Buffer[] = [];
    const run = runProcess(client, environmentId, {
      arguments: ['cat'],
      stdin: parts('hello', 2),
      onOutput: (stream, data) => void seen.push(Buffer.from(`${stream}:${Buffer.from(data)}`)),
    });
    expect((await run.ended).exitCode).toBe(3);
    expect(Buffer.concat(seen).toString().replaceAll('stdout:', '')).toBe('HELLO');
  });

  it('loses and doubles nothing when the connection is cut again and again', async () => {
    let cuts = 0;
    await open((bytesSent) => {
      if (bytesSent < (cuts + 1) * 20_000) return;
      cuts += 1;
      server.cut();
    });
    const seen: Uint8Array[] = [];
    const said: string[] = [];
    const run = runProcess(client, environmentId, {
      arguments: ['cat'],
      stdin: parts(text, 777),
      onOutput: (_, data) => void seen.push(data),
      onConnection: (lost) => void said.push(lost ? 'lost' : 'back'),
    });
    expect((await run.ended).exitCode).toBe(3);
    expect(Buffer.concat(seen).toString()).toBe(text.toUpperCase());
    expect(cuts).toBeGreaterThan(5);
    expect(said.slice(0, 4)).toEqual(['lost', 'back', 'lost', 'back']);
    const process = processes.get(run.processId);
    expect(processes.size).toBe(1);
    expect(process?.inputs).toEqual(process?.inputs.map((_, index) => BigInt(index + 1)));
  });

  it('goes on after the server was away', async () => {
    await open();
    const seen: Uint8Array[] = [];
    let wake: (() => void) | undefined;
    async function* input(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('before ');
      await new Promise<void>((resolve) => (wake = resolve));
      yield Buffer.from('after');
    }
    const run = runProcess(client, environmentId, {
      arguments: ['cat'],
      stdin: input(),
      onOutput: (_, data) => void seen.push(data),
    });
    await expect.poll(() => Buffer.concat(seen).toString()).toBe('BEFORE ');
    await server.down();
    wake?.();
    await server.up();
    expect((await run.ended).exitCode).toBe(3);
    expect(Buffer.concat(seen).toString()).toBe('BEFORE AFTER');
  });

  it('fails as unavailable when the server stays away', async () => {
    await open(undefined, 200);
    const run = runProcess(client, environmentId, {
      arguments: ['cat'],
      stdin: never(),
      onOutput: () => undefined,
    });
    await expect.poll(() => processes.size).toBe(1);
    await server.down();
    await expect(run.ended).rejects.toMatchObject({ code: 'unavailable' });
    await server.up();
  });

  it('says that the environment was started anew when the process is gone', async () => {
    await open();
    const run = runProcess(client, environmentId, {
      arguments: ['cat'],
      stdin: never(),
      onOutput: () => undefined,
    });
    await expect.poll(() => processes.size).toBe(1);
    processes.clear();
    server.cut();
    await expect(run.ended).rejects.toMatchObject({
      code: 'failed_precondition',
      message: expect.stringContaining('started anew'),
    });
  });

  it('holds its input back while the process takes none', async () => {
    await open();
    const original = EchoProcess.prototype.take;
    EchoProcess.prototype.take = () => undefined;
    let asked = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; asked < 10_000; asked += 1) yield Buffer.alloc(32 * 1024);
    }
    const leave = new AbortController();
    const run = runProcess(client, environmentId, {
      arguments: ['cat'],
      stdin: endless(),
      onOutput: () => undefined,
      signal: leave.signal,
    });
    await expect.poll(() => asked).toBeGreaterThan(10);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(asked).toBeLessThan(40);
    leave.abort();
    await expect(run.ended).rejects.toMatchObject({ code: 'canceled' });
    EchoProcess.prototype.take = original;
  });
});

/** An input that stays open and says nothing. */
function never(): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) };
}
