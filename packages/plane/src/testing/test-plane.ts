/** A real plane behind a real port on a fresh database, for tests. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@atelier/api/system';
import type { Clock } from '@atelier/api';
import { RunnerLinkService } from '@atelier/api/atelier/runner_link';
import { makeOpenFolder, makeStoreSubject, type TestServer } from '@atelier/store/testing';
import type { Store } from '@atelier/store';
import { createClient, type Client, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import type { DescService } from '@bufbuild/protobuf';
import { newId } from '../context.ts';
import { servePlane } from '../http/server.ts';
import { bootstrap, planeIdentity } from '../identity/bootstrap.ts';
import type { Principal } from '../identity/principal.ts';
import { createPlane, type Plane } from '../plane.ts';
import { FakeRunner, type Dial } from './fake-runner.ts';

/** A plane for a test, with whatever a test looks at. */
export interface TestPlane {
  readonly plane: Plane;
  readonly store: Store;
  readonly url: string;
  readonly token: string;
  readonly runnerId: string;
  readonly user: Principal;
  readonly runner: Principal;
  readonly folder: string;
  /** What the plane has logged. */
  readonly logged: { message: string; facts: Record<string, unknown> | undefined }[];
  /** A client of the Connect protocol; `token` is the user's unless given. */
  client<S extends DescService>(service: S, token?: string): Client<S>;
  /** A connected runner: in this process, or over the port. */
  connect(options?: {
    moves?: boolean;
    overPort?: boolean;
    acknowledgedRevision?: bigint;
    planeId?: string;
    publicKey?: Uint8Array;
  }): FakeRunner;
  stop(): Promise<void>;
}

/** Starts a plane on an emptied database of the server, with its tokens in a temporary folder. */
export async function startTestPlane(server: TestServer, clock: Clock = systemClock): Promise<TestPlane> {
  const subject = await makeStoreSubject(server);
  const folder = await makeOpenFolder();
  const { store } = subject;
  const logged: TestPlane['logged'] = [];
  const identity = await planeIdentity(store, clock, systemRandom);
  const log = (message: string, facts?: Record<string, unknown>): void =>
    void logged.push({ message, facts });
  const plane = createPlane({ store, clock, random: systemRandom, log, ...identity });
  const files = { tokenFile: join(folder, 'token'), runnerTokenFile: join(folder, 'runner-token') };
  await bootstrap(plane.context, plane.tokens, { ...files, memoryBytes: 8 * 1024 ** 3 });
  const token = (await readFile(files.tokenFile, 'utf8')).trim();
  const runnerToken = (await readFile(files.runnerTokenFile, 'utf8')).trim();
  const user = await plane.tokens.authenticate(token);
  const runner = await plane.tokens.authenticate(runnerToken);
  await plane.start();
  const listener = await servePlane(plane, { host: '127.0.0.1', port: 0 });
  const runners: FakeRunner[] = [];
  const client: TestPlane['client'] = (service, bearer = token) =>
    createClient(service, transportTo(listener.url, bearer));
  const overPort: Dial = (requests, signal) =>
    client(RunnerLinkService, runnerToken).sync(requests, { signal });
  const inProcess: Dial = (requests, signal) => plane.link.sync(requests, runner, signal);
  return {
    plane,
    store,
    url: listener.url,
    token,
    runnerId: runner.id,
    user,
    runner,
    folder,
    logged,
    client,
    connect({ moves = false, overPort: port = false, ...hello } = {}) {
      const fake = new FakeRunner(port ? overPort : inProcess, { runnerId: runner.id, ...hello }, { moves });
      runners.push(fake);
      return fake;
    },
    async stop() {
      for (const each of runners) await each.close();
      await plane.stop();
      await listener.close();
      await subject.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** A user of another organization, with its token. */
export async function makeStranger({ plane }: TestPlane): Promise<string> {
  const { context } = plane;
  const organizationId = newId(context);
  return plane.tokens.issue({ kind: 'user', id: newId(context), organizationId }, 'access', 0);
}

function transportTo(url: string, token: string): Transport {
  const bearer: Interceptor = (next) => (request) => {
    request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
  return createConnectTransport({ baseUrl: `${url}/api`, httpVersion: '2', interceptors: [bearer] });
}
