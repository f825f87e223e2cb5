import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  OutputStream,
  type ProcessExited,
  type ProcessStartSchema,
  type RunRequestSchema,
  type RunResponse,
} from '@atelier/api/atelier/process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTrial, type Trial, type TrialClients } from '../trial.ts';

let trial: Trial;
let clients: TrialClients & { drop(): void };
beforeAll(async () => {
  trial = await startTrial();
  clients = await trial.connect();
});
afterAll(() => trial.close());

type Request = MessageInitShape<typeof RunRequestSchema>;

/** Requests that are given one by one; the stream ends with `end`. */
class Requests {
  readonly #waiting: Request[] = [];
  #wake: () => void = () => {};
  #ended = false;

  send(...requests: Request[]): void {
    this.#waiting.push(...requests);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Request> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) yield next;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

interface Seen {
  stdout: Buffer;
  stderr: Buffer;
  acknowledged: number[];
  resumed: boolean;
  inputSequence: number;
  exited: ProcessExited | undefined;
}

const start = (value: MessageInitShape<typeof ProcessStartSchema>): Request => ({
  message: { case: 'start', value },
});
const input = (sequence: number, text: string, end = false): Request => ({
  message: { case: 'input', value: { sequence: BigInt(sequence), data: Buffer.from(text), end } },
});

async function run(
  requests: AsyncIterable<Request>,
  onResponse: (seen: Seen, response: RunResponse) => void | Promise<void> = () => {},
  offsets = { stdout: 0, stderr: 0 },
): Promise<Seen> {
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const counts = { ...offsets };
  const seen: Seen = {
    stdout: Buffer.alloc(0),
    stderr: Buffer.alloc(0),
    acknowledged: [],
    resumed: false,
    inputSequence: 0,
    exited: undefined,
  };
  try {
    for await (const response of clients.processes.run(requests)) {
      const { message } = response;
      if (message.case === 'started') {
        seen.resumed = message.value.resumed;
        seen.inputSequence = Number(message.value.inputSequence);
      }
      if (message.case === 'output') {
        const name = message.value.stream === OutputStream.STDERR ? 'stderr' : 'stdout';
        expect(Number(message.value.offset)).toBe(counts[name]);
        counts[name] += message.value.data.length;
        parts[name].push(Buffer.from(message.value.data));
        seen[name] = parts[name].length < 100 ? Buffer.concat(parts[name]) : seen[name];
      }
      if (message.case === 'inputAcknowledgement') seen.acknowledged.push(Number(message.value.sequence));
      if (message.case === 'exited') seen.exited = message.value;
      await onResponse(seen, response);
    }
  } finally {
    seen.stdout = Buffer.concat(parts.stdout);
    seen.stderr = Buffer.concat(parts.stderr);
  }
  return seen;
}

async function* only(...requests: Request[]): AsyncIterable<Request> {
  yield* requests;
}

const shell = (processId: string, script: string): Request =>
  start({ processId, arguments: ['/bin/sh', '-c', script] });

describe('a process with pipes', () => {
  it('keeps its outputs apart and tells its exit code', async () => {
    const seen = await run(only(shell('apart', 'echo out; echo err >&2; exit 7')));
    expect([seen.stdout.toString(), seen.stderr.toString(), seen.exited?.exitCode]).toEqual([
      'out\n',
      'err\n',
      7,
    ]);
  });

  it('runs in the workspace with variables and none of ours', async () => {
    const script = 'pwd; echo "$GIVEN"; env | grep -E "^(LD_|ATELIER_)" || echo none';
    const environment = { GIVEN: 'a b' };
    const seen = await run(only(start({ processId: 'env', arguments: ['sh', '-c', script], environment })));
    expect(seen.stdout.toString()).toBe(`${realpathSync(trial.folder)}\na b\nnone\n`);
  });

  it('tells the signal that ended it', async () => {
    const seen = await run(only(shell('killed', 'kill -TERM $$')));
    expect(seen.exited).toMatchObject({ exitCode: 143, signal: 'SIGTERM' });
  });

  it('says why it could not start', async () => {
    const missing = await run(only(start({ processId: 'missing', arguments: ['/no/such/program'] })));
    expect(missing.exited).toMatchObject({ exitCode: 127, failureMessage: '/no/such/program is not there.' });
    const unnamed = await run(only(start({ processId: 'unnamed', arguments: ['no-such-program'] })));
    expect(unnamed.exited?.failureMessage).toContain('was not found in PATH');
    const denied = await run(only(start({ processId: 'denied', arguments: ['/etc/passwd'] })));
    expect(denied.exited).toMatchObject({ exitCode: 126 });
    const nowhere = await run(
      only(start({ processId: 'nowhere', arguments: ['sh'], workingDirectory: '/no/where' })),
    );
    expect(nowhere.exited?.failureMessage).toBe('The working directory /no/where is not there.');
    const nobody = await run(only(start({ processId: 'nobody', arguments: ['sh'], user: 'no-such-user' })));
    expect(nobody.exited?.failureMessage).toContain('There is no user "no-such-user"');
  });

  it('takes binary input once, acknowledges it and sees its end', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index)).toString('latin1');
    const data = Buffer.from(bytes, 'latin1');
    const requests = only(
      start({ processId: 'cat', arguments: ['cat'] }),
      { message: { case: 'input', value: { sequence: 1n, data } } },
      { message: { case: 'input', value: { sequence: 1n, data } } },
      { message: { case: 'input', value: { sequence: 2n, data, end: true } } },
    );
    const seen = await run(requests);
    expect(seen.stdout).toEqual(Buffer.concat([data, data]));
    expect(seen.acknowledged.at(-1)).toBe(2);
  });

  it('refuses a gap in the input', async () => {
    const failed = run(only(start({ processId: 'gap', arguments: ['cat'] }), input(2, 'x')));
    await expect(failed).rejects.toMatchObject({ code: Code.InvalidArgument });
    await clients.processes.signalProcess({ processId: 'gap', signal: 'SIGKILL' });
  });

  it('signals the whole group', async () => {
    const requests = new Requests();
    requests.send(shell('group', 'sleep 1000 & echo up; wait'));
    const seen = await run(requests, (now) => {
      if (now.stdout.toString() === 'up\n') requests.send({ message: { case: 'signal', value: 'SIGKILL' } });
    });
    expect(seen.exited?.signal).toBe('SIGKILL');
  });

  it('does not wait for a child of it that holds the output', async () => {
    const seen = await run(only(shell('daemon', 'sleep 30 & echo $!')));
    expect(seen.exited?.exitCode).toBe(0);
    process.kill(Number(seen.stdout.toString()), 'SIGKILL');
  });

  it('is killed when nobody attends it for too long', async () => {
    const left = new AbortController();
    const request = start({
      processId: 'left',
      arguments: ['sleep', '1000'],
      unattended: { seconds: 0n, nanos: 5e7 },
    });
    const never = new Requests();
    never.send(request);
    for await (const _ of clients.processes.run(never, { signal: left.signal })) break;
    left.abort();
    await expect
      .poll(async () =>
        (await clients.processes.listProcesses({})).processes.some(({ processId }) => processId === 'left'),
      )
      .toBe(false);
  });
});

describe('a reconnect', () => {
  it('loses and doubles nothing in either direction', async () => {
    const lines = 30;
    let taken = { stdout: 0, text: '' };
    const first = new Requests();
    first.send(start({ processId: 'again', arguments: ['cat'] }), input(1, 'line 1\n'), input(2, 'line 2\n'));
    const broken = run(first, (seen) => {
      taken = { stdout: seen.stdout.length, text: seen.stdout.toString() };
      if (taken.text.includes('line 2\n')) clients.drop();
    });
    await expect(broken).rejects.toThrow();
    clients = await trial.connect();
    const second = new Requests();
    second.send({
      message: { case: 'attach', value: { processId: 'again', stdoutOffset: BigInt(taken.stdout) } },
    });
    // The client did not see the acknowledgement of 2 and sends it again.
    for (let line = 2; line <= lines; line += 1) second.send(input(line, `line ${line}\n`, line === lines));
    const seen = await run(second, () => {}, { stdout: taken.stdout, stderr: 0 });
    expect(seen).toMatchObject({ resumed: true, inputSequence: 2 });
    const expected = Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`).join('');
    expect(taken.text + seen.stdout.toString()).toBe(expected);
  });

  it('by the same start attaches, also after the end', async () => {
    const once = await run(only(shell('same', 'echo $$')));
    const twice = await run(only(shell('same', 'echo $$')));
    expect(twice).toMatchObject({ resumed: true, stdout: once.stdout, exited: { exitCode: 0 } });
  });

  it('with bytes that never were is refused', async () => {
    const attach: Request = { message: { case: 'attach', value: { processId: 'same', stdoutOffset: 999n } } };
    await expect(run(only(attach))).rejects.toMatchObject({ code: Code.InvalidArgument });
    const unknown: Request = { message: { case: 'attach', value: { processId: 'unknown' } } };
    await expect(run(only(unknown))).rejects.toMatchObject({ code: Code.NotFound });
  });
});

it('gives 20 MB to a slow reader, byte by byte right, keeping few of them in memory', async () => {
  const count = 20 * 1024 * 1024;
  const script = `yes 0123456789abcde | head -c ${count}`;
  let received = 0;
  let unread = 0;
  let kept = 0;
  let messages = 0;
  const hash = createHash('sha256');
  for await (const { message } of clients.processes.run(only(shell('flood', script)))) {
    if (message.case !== 'output') continue;
    hash.update(message.value.data);
    received += message.value.data.length;
    const flood = trial.supervisor.processes.get('flood');
    unread = Math.max(unread, flood.bytesOf('stdout') - received);
    kept = Math.max(kept, flood.bytesOf('stdout') - flood.firstOffsetOf('stdout'));
    messages += 1;
    if (messages % 40 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const expected = createHash('sha256')
    .update('0123456789abcde\n'.repeat(count / 16))
    .digest('hex');
  expect(hash.digest('hex')).toBe(expected);
  expect(unread).toBeGreaterThan(1024 * 1024);
  expect(unread).toBeLessThan(3 * 1024 * 1024);
  expect(kept).toBeLessThan(2.5 * 1024 * 1024);
});

describe('a terminal', () => {
  const terminal = { columns: 100, rows: 30 };

  it('has a size that changes', async () => {
    const requests = new Requests();
    requests.send(
      start({ processId: 'tty', arguments: ['/bin/sh'], terminal, environment: { PS1: '' } }),
      input(1, 'stty size\n'),
    );
    let resized = false;
    const seen = await run(requests, (now) => {
      const text = now.stdout.toString();
      if (!resized && text.includes('30 100')) {
        resized = true;
        requests.send(
          { message: { case: 'resize', value: { columns: 77, rows: 11 } } },
          input(2, 'stty size; exit 3\n'),
        );
      }
    });
    expect(seen.stdout.toString()).toContain('11 77');
    expect(seen.exited?.exitCode).toBe(3);
  });

  it('goes on while nobody is there and shows what happened', async () => {
    const requests = new Requests();
    requests.send(start({ processId: 'stay', arguments: ['/bin/sh'], terminal, environment: { PS1: '' } }));
    requests.send(input(1, 'sleep 0.2; echo "d"one\n'));
    const broken = run(requests, (seen) => {
      if (seen.stdout.toString().includes('sleep')) clients.drop();
    });
    await expect(broken).rejects.toThrow(ConnectError);
    clients = await trial.connect();
    const again = new Requests();
    again.send({ message: { case: 'attach', value: { processId: 'stay' } } });
    const seen = await run(again, (now) => {
      if (now.stdout.toString().includes('done')) again.send(input(2, 'exit\n'));
    });
    expect(seen.inputSequence).toBe(1);
    expect(seen.exited?.exitCode).toBe(0);
  });

  it('waits for a slow reader instead of losing anything', async () => {
    const script = `head -c 6000000 /dev/zero | tr '\\0' x; echo`;
    let slept = false;
    // Every offset is checked against the bytes that came before it.
    const seen = await run(
      only(start({ processId: 'slow', arguments: ['/bin/sh', '-c', script], terminal })),
      async () => {
        const slow = trial.supervisor.processes.get('slow');
        if (slept || slow.bytesOf('stdout') < 1024 * 1024) return;
        slept = true;
        await new Promise((resolve) => setTimeout(resolve, 200));
        expect(slow.end).toBeUndefined();
      },
    );
    expect([slept, seen.stdout.length, seen.exited?.exitCode]).toEqual([true, 6_000_002, 0]);
  });

  it('loses its oldest output only when nobody reads', async () => {
    const left = new Requests();
    const script = `head -c 6000000 /dev/zero | tr '\\0' x; echo; read -r line`;
    left.send(start({ processId: 'long', arguments: ['/bin/sh', '-c', script], terminal }));
    const gone = new AbortController();
    for await (const _ of clients.processes.run(left, { signal: gone.signal })) break;
    gone.abort();
    await expect
      .poll(() => trial.supervisor.processes.get('long').bytesOf('stdout'), { timeout: 20_000 })
      .toBe(6_000_002);
    const kept = 6_000_002 - trial.supervisor.processes.get('long').firstOffsetOf('stdout');
    expect(kept).toBeGreaterThan(4_000_000);
    // Whole pieces are forgotten, so a part of one more may be there.
    expect(kept).toBeLessThanOrEqual(4 * 1024 * 1024 + 64 * 1024);
    await clients.processes.signalProcess({ processId: 'long', signal: 'SIGKILL' });
  });

  it('says why it could not start', async () => {
    const seen = await run(only(start({ processId: 'no-tty', arguments: ['/no/such'], terminal })));
    expect(seen.exited).toMatchObject({ exitCode: 127, failureMessage: '/no/such is not there.' });
  });
});
