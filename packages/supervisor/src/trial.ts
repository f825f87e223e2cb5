/** A supervisor in this process with a client of it over a real socket, for tests: as the user who runs them. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { createClient, type Client, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { AtelierError } from '@atelier/api';
import { PortService } from '@atelier/api/atelier/port';
import { ProcessService } from '@atelier/api/atelier/process';
import {
  SupervisorService,
  SupervisorSpecSchema,
  type SupervisorStatus,
} from '@atelier/api/atelier/supervisor';
import { EnvironmentOpsService } from '@atelier/api/supervisor/environment_ops';
import { keepLink } from './link.ts';
import type { Machine } from './machine.ts';
import { supervisorServer } from './serve.ts';
import { Supervisor } from './supervisor.ts';
import { systemMachine } from './system.ts';

/** Clients of all services over one connection. */
export interface TrialClients {
  readonly supervisor: Client<typeof SupervisorService>;
  readonly processes: Client<typeof ProcessService>;
  readonly ports: Client<typeof PortService>;
  readonly operations: Client<typeof EnvironmentOpsService>;
}

/** A running supervisor and the folder that is its workspace. */
export interface Trial {
  readonly folder: string;
  readonly supervisor: Supervisor;
  /** Waits for the next connection that the supervisor makes, as it is. */
  accept(): Promise<Socket>;
  /** Waits for the next connection that the supervisor makes, with clients on it. */
  connect(): Promise<TrialClients & { drop(): void }>;
  close(): Promise<void>;
}

/** Starts a supervisor; `overrides` replace parts of its machine. */
export async function startTrial(overrides: Partial<Machine> = {}): Promise<Trial> {
  const folder = await mkdtemp(join(tmpdir(), 'atelier-supervisor-'));
  const server = createServer().listen(join(folder, 'socket'));
  await once(server, 'listening');
  const connections = queueOf(server);
  const supervisor = new Supervisor({
    ...systemMachine(import.meta.filename),
    boot: 'trial',
    keepAliveFolder: join(folder, 'keep-alive'),
    ...overrides,
  });
  const over = new AbortController();
  const linked = keepLink(
    supervisor.machine.clock,
    join(folder, 'socket'),
    supervisorServer(supervisor),
    over.signal,
  );
  supervisor.apply(specOf(folder, {}));
  return {
    folder,
    supervisor,
    accept: () => connections.next(),
    async connect() {
      const socket = await connections.next();
      return { ...clientsOf(transportOver(socket)), drop: () => void socket.destroy() };
    },
    async close() {
      await supervisor.shutdown(1000);
      over.abort();
      connections.close();
      await linked;
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A spec for the workspace `folder` as the user who runs this. */
export function specOf(
  folder: string,
  spec: MessageInitShape<typeof SupervisorSpecSchema>,
): ReturnType<typeof create<typeof SupervisorSpecSchema>> {
  const user = String(process.getuid?.() ?? 0);
  return create(SupervisorSpecSchema, { workspaceFolder: folder, user, ...spec });
}

/** Clients of all services. */
export function clientsOf(transport: Transport): TrialClients {
  return {
    supervisor: createClient(SupervisorService, transport),
    processes: createClient(ProcessService, transport),
    ports: createClient(PortService, transport),
    operations: createClient(EnvironmentOpsService, transport),
  };
}

/** A transport to a supervisor that has dialled this socket. */
export function transportOver(socket: Socket): Transport {
  return createConnectTransport({
    baseUrl: 'http://supervisor',
    httpVersion: '2',
    nodeOptions: { createConnection: () => socket },
  });
}

/** Reads statuses until one is as wanted. */
export async function statusWhen(
  clients: TrialClients,
  isWanted: (status: SupervisorStatus) => boolean,
): Promise<SupervisorStatus> {
  const enough = new AbortController();
  for await (const { status } of clients.supervisor.watchStatus({}, { signal: enough.signal })) {
    if (!status || !isWanted(status)) continue;
    enough.abort();
    return status;
  }
  throw new AtelierError('unavailable', 'The statuses ended before the wanted one came.');
}

function queueOf(server: Server): { next(): Promise<Socket>; close(): void } {
  const waiting: Socket[] = [];
  const all = new Set<Socket>();
  server.on('connection', (socket) => {
    all.add(socket);
    socket.on('error', () => {});
    waiting.push(socket);
  });
  return {
    async next() {
      // A connection that was lost before anybody took it is of no use.
      for (;;) {
        const socket = waiting.shift();
        if (socket && !socket.destroyed) return socket;
        if (!socket) await once(server, 'connection');
      }
    },
    close() {
      for (const socket of all) socket.destroy();
    },
  };
}
