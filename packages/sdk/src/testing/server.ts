/** A plane and a gateway in one small server, for tests: connections can be cut, and processes live on. */
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { AtelierError, toConnectError } from '@atelier/api';
import { systemClock } from '@atelier/api/system';
import { OutputStream, ProcessService, type RunRequest } from '@atelier/api/atelier/process';
import {
  EnvironmentPhase,
  EnvironmentSchema,
  EnvironmentService,
  EnvironmentStatusSchema,
} from '@atelier/api/gitpod/environment';
import { create } from '@bufbuild/protobuf';
import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';

/** An environment that the fake plane knows. */
export const environmentId = '01a20327-276a-7c2c-a352-793bbbad71c6';

type NodeHandler = ReturnType<typeof connectNodeAdapter>;

/** A server whose connections can be cut. */
export interface FakeServer {
  readonly url: string;
  /** Calls that came, as `Service/method`. */
  readonly calls: string[];
  /** Tokens that came, in order, each once. */
  readonly tokens: Set<string>;
  /** Cuts every connection that there is; new ones are welcome. */
  cut(): void;
  /** Refuses connections until `up`, which listens on the same port. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the server on loopback with these services, under `/api` and under the environment's own path. */
export async function startFakeServer(
  routes: (router: ConnectRouter, own: FakeServer) => void,
): Promise<FakeServer> {
  const sessions = new Set<ServerHttp2Session>();
  const calls: string[] = [];
  const tokens = new Set<string>();
  let server: Http2Server;
  let plane: NodeHandler;
  let gateway: NodeHandler;
  let port = 0;
  const handlerOf = (prefix: string) =>
    connectNodeAdapter({
      requestPathPrefix: prefix,
      routes: (router) => routes(router, own),
      interceptors: [
        (next) => async (request) => {
          calls.push(`${request.service.typeName.split('.').at(-1)}/${request.method.name}`);
          tokens.add(request.header.get('authorization') ?? '');
          try {
            return await next(request);
          } catch (error) {
            throw toConnectError(error);
          }
        },
      ],
    });
  const ops = `/environments/${environmentId}`;
  const listen = async (): Promise<void> => {
    server = createServer((request, response) =>
      (request.url.startsWith(ops) ? gateway : plane)(request, response),
    );
    server.on('session', (session) => {
      sessions.add(session);
      session.on('close', () => sessions.delete(session));
      session.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port }, resolve));
    port = (server.address() as AddressInfo).port;
  };
  const own: FakeServer = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    calls,
    tokens,
    cut() {
      for (const session of sessions) session.destroy();
    },
    async down() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      own.cut();
      await closed;
    },
    up: listen,
    close: () => own.down(),
  };
  [plane, gateway] = [handlerOf('/api'), handlerOf(ops)];
  await listen();
  return own;
}

/** What a running environment at the server looks like. */
export function runningEnvironment(
  server: Pick<FakeServer, 'url'>,
  phaseName: keyof typeof EnvironmentPhase = 'RUNNING',
) {
  const status = create(EnvironmentStatusSchema, {
    phase: EnvironmentPhase[phaseName],
    environmentUrls: { ops: `${server.url}/environments/${environmentId}` },
  });
  return create(EnvironmentSchema, { id: environmentId, metadata: { name: 'guestbook' }, status });
}

/** The environment service of a plane with one running environment; tokens carry `lifetimeMs`. */
export function addEnvironment(router: ConnectRouter, server: FakeServer, lifetimeMs = 3_600_000): void {
  let count = 0;
  router.service(EnvironmentService, {
    getEnvironment: () => ({ environment: runningEnvironment(server) }),
    createEnvironmentAccessToken: () => {
      count += 1;
      const claims = { exp: (systemClock.nowMs() + lifetimeMs) / 1000, count };
      return { accessToken: `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.y` };
    },
  });
}

/** A process that echoes its input in capital letters, and ends with code 3 at the end of it. */
export class EchoProcess {
  readonly inputs: bigint[] = [];
  sequence = 0n;
  output = Buffer.alloc(0);
  isOver = false;
  #changed: (() => void)[] = [];

  /** Takes an input once; what comes again is dropped, a gap is an error. */
  take(sequence: bigint, data: Uint8Array, end: boolean): void {
    if (sequence <= this.sequence) return;
    if (sequence !== this.sequence + 1n) throw new AtelierError('invalid_argument', `gap before ${sequence}`);
    this.sequence = sequence;
    this.inputs.push(sequence);
    this.output = Buffer.concat([
      this.output,
      Buffer.from(Buffer.from(data).toString('latin1').toUpperCase(), 'latin1'),
    ]);
    this.isOver ||= end;
    this.changed();
  }

  changed(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }

  wait(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }
}

/** Serves echo processes, which outlive connections as a supervisor's do. `onOutput` may cut the connection. */
export function addProcesses(
  router: ConnectRouter,
  processes: Map<string, EchoProcess>,
  onOutput: (bytesSent: number) => void = () => undefined,
): void {
  const partBytes = 1000;
  router.service(ProcessService, {
    async *run(requests: AsyncIterable<RunRequest>, { signal }: HandlerContext) {
      const incoming = requests[Symbol.asyncIterator]();
      const { value } = await incoming.next();
      const first = value?.message;
      if (first?.case !== 'start' && first?.case !== 'attach') throw refusal('invalid_argument');
      const { processId } = first.value;
      const resumed = processes.has(processId);
      if (!resumed && first.case === 'attach') throw refusal('not_found');
      const process = processes.get(processId) ?? new EchoProcess();
      processes.set(processId, process);
      let offset = first.case === 'attach' ? Number(first.value.stdoutOffset) : 0;
      yield {
        message: { case: 'started', value: { processId, pid: 7, resumed, inputSequence: process.sequence } },
      };
      const acknowledged = { sequence: process.sequence };
      const take = async (): Promise<void> => {
        for (let next = await incoming.next(); !next.done; next = await incoming.next()) {
          const { message } = next.value;
          if (message.case === 'input')
            process.take(message.value.sequence, message.value.data, message.value.end);
        }
      };
      take().catch(() => undefined);
      for (;;) {
        if (signal.aborted) return;
        if (process.sequence > acknowledged.sequence) {
          acknowledged.sequence = process.sequence;
          yield { message: { case: 'inputAcknowledgement', value: { sequence: process.sequence } } };
        }
        const data = process.output.subarray(offset, offset + partBytes);
        if (data.length > 0) {
          yield {
            message: { case: 'output', value: { stream: OutputStream.STDOUT, offset: BigInt(offset), data } },
          };
          offset += data.length;
          onOutput(offset);
        } else if (process.isOver) {
          yield { message: { case: 'exited', value: { exitCode: 3 } } };
          return;
        } else await Promise.race([process.wait(), aborted(signal)]);
      }
    },
  } as never);
}

/** A stream's errors are thrown after the interceptors have returned. */
function refusal(code: 'not_found' | 'invalid_argument'): Error {
  return toConnectError(new AtelierError(code, 'no such process'));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
