/** The services of a supervisor on one connection: HTTP/2, the dialling side being the server. */
import { createServer, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { ConnectRouter, Interceptor, ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { agreedVersion, softwareVersion, supervisorProtocolVersion, toConnectError } from '@atelier/api';
import { PortService } from '@atelier/api/atelier/port';
import { ProcessService } from '@atelier/api/atelier/process';
import { SupervisorService } from '@atelier/api/atelier/supervisor';
import { EnvironmentOpsService } from '@atelier/api/supervisor/environment_ops';
import { operationsService } from './operations/service.ts';
import { portService } from './ports.ts';
import { processService } from './processes/service.ts';
import type { Supervisor } from './supervisor.ts';
import { durationMs, timestampOf } from './wire.ts';

const messageBytesMax = 4 * 1024 * 1024;
const windowBytes = 256 * 1024;
const streamsMax = 1000;
const sessionMemoryMegabytes = 64;
const shutdownGraceMsDefault = 10_000;

/** Makes a function that serves a supervisor over a connected stream; it resolves when that connection is over. */
export function supervisorServer(supervisor: Supervisor): (stream: Duplex) => Promise<void> {
  const handle = connectNodeAdapter({
    routes: (router) => routes(supervisor, router),
    interceptors: [errorsToTheWire],
    acceptCompression: [],
    readMaxBytes: messageBytesMax,
    writeMaxBytes: messageBytesMax,
    grpc: false,
    grpcWeb: false,
  });
  const server = createServer(
    {
      maxSessionMemory: sessionMemoryMegabytes,
      settings: { initialWindowSize: windowBytes, maxConcurrentStreams: streamsMax },
    },
    (request, response) => {
      // What no URL can be made of would throw where nobody catches.
      if (URL.canParse(request.url ?? '', `http://${request.authority}`)) handle(request, response);
      else response.writeHead(400).end();
    },
  );
  server.on('sessionError', () => {});
  return (stream) =>
    new Promise((resolve) => {
      const onSession = (session: ServerHttp2Session): void => {
        stream.once('close', () => session.destroy());
      };
      server.once('session', onSession);
      stream.on('error', () => stream.destroy());
      stream.once('close', () => {
        server.off('session', onSession);
        resolve();
      });
      server.emit('connection', stream);
    });
}

function routes(supervisor: Supervisor, router: ConnectRouter): void {
  const onInput = (): void => supervisor.acted.happens();
  router.service(SupervisorService, supervisorService(supervisor));
  router.service(
    ProcessService,
    processService({
      table: supervisor.processes,
      onInput,
      defaults() {
        const { user, workingDirectory, environment } = supervisor.surroundings();
        return { user, workspaceFolder: workingDirectory, environment };
      },
    }),
  );
  router.service(PortService, portService(onInput));
  router.service(EnvironmentOpsService, operationsService(supervisor));
}

function supervisorService(supervisor: Supervisor): ServiceImpl<typeof SupervisorService> {
  return {
    hello: ({ protocolVersion }) => ({
      protocolVersion: agreedVersion(supervisorProtocolVersion, protocolVersion) ?? supervisorProtocolVersion,
      softwareVersion,
      boot: supervisor.machine.boot,
      startedAt: timestampOf(supervisor.startedAtMs),
    }),
    apply({ spec }) {
      if (spec) supervisor.apply(spec);
      return {};
    },
    async *watchStatus(_request, { signal }) {
      for await (const status of supervisor.watchStatus(signal)) yield { status };
    },
    watchLogs: ({ offsets }, { signal }) => supervisor.logs.watch(offsets, signal),
    async shutdown({ grace }) {
      await supervisor.shutdown(grace ? durationMs(grace) : shutdownGraceMsDefault);
      return {};
    },
  };
}

/** Every error leaves with its code; connect-node would make `internal` of ours. */
const errorsToTheWire: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: rethrown(response.message) } : response;
  } catch (thrown) {
    throw toConnectError(thrown);
  }
};

async function* rethrown<Message>(messages: AsyncIterable<Message>): AsyncIterable<Message> {
  try {
    yield* messages;
  } catch (thrown) {
    throw toConnectError(thrown);
  }
}
