/** The machine of the management plane: it runs the real plane over the database, and again after a crash. */
import { makeId, toConnectError, type Random } from '@atelier/api';
import { EnvironmentClassSchema } from '@atelier/api/gitpod/environment_class';
import { EnvironmentService } from '@atelier/api/gitpod/environment';
import { RunnerKind, RunnerPhase, RunnerProvider, RunnerSchema } from '@atelier/api/gitpod/runner';
import { createPlane, principalKey, type Principal } from '@atelier/plane';
import { create } from '@bufbuild/protobuf';
import { createClient, createRouterTransport, type Client } from '@connectrpc/connect';
import { openMemoryStore } from '../store/memory-store.ts';
import { SimulatedProcess } from '../world/process.ts';
import { between } from '../world/random.ts';
import type { World } from '../world/world.ts';
import { faultyStore } from './faulty-store.ts';

const restartMs = 5000;
const storeLatencyMsMax = 3;

/** The plane of a world. */
export class PlaneHost {
  /** The present run; undefined between a crash and the restart. */
  process: SimulatedProcess | undefined;
  /** What the one user of the world calls; undefined while the plane does not answer. */
  client: Client<typeof EnvironmentService> | undefined;
  readonly runnerId: string;
  readonly #world: World;
  readonly #random: Random;
  readonly #planeId: string;
  readonly #user: Principal;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random('plane');
    const id = (): string => makeId(world.clock.nowMs(), this.#random);
    this.#planeId = id();
    this.runnerId = id();
    this.#user = { kind: 'user', id: id(), organizationId: id() };
  }

  /** Writes the runner and its class down, as the first start of a plane does. */
  async prepare(): Promise<void> {
    const store = openMemoryStore(this.#world.database);
    const { organizationId } = this.#user;
    const runner = create(RunnerSchema, {
      runnerId: this.runnerId,
      name: 'simulated',
      // A local runner never holds back after a lease that ended; a remote one does.
      kind: this.#world.seed % 2 === 0 ? RunnerKind.REMOTE : RunnerKind.LOCAL_CONFIGURATION,
      provider: RunnerProvider.LINUX_HOST,
      spec: { desiredPhase: RunnerPhase.ACTIVE },
      status: { phase: RunnerPhase.CREATED },
    });
    await store.create('runner', { id: this.runnerId, organizationId, value: runner });
    const id = makeId(this.#world.clock.nowMs(), this.#random);
    const value = create(EnvironmentClassSchema, { id, runnerId: this.runnerId, enabled: true });
    await store.create('environmentClass', { id, organizationId, value });
  }

  /** Starts the plane; it is started again a while after each crash. */
  start(): void {
    const world = this.#world;
    const process = new SimulatedProcess(world.clock);
    this.process = process;
    process.onKill(() => {
      this.process = undefined;
      this.client = undefined;
      world.clock.timer(restartMs, () => this.start());
    });
    const random = this.#random;
    const latencyMs = (): number => between(random, 0, storeLatencyMsMax);
    const store = process.gate(faultyStore(openMemoryStore(world.database), world, random), latencyMs);
    const plane = createPlane({
      store,
      clock: process.clock(() => world.clockErrorMs.plane),
      random,
      planeId: this.#planeId,
      signingKey: { privatePem: '', publicDer: new Uint8Array(32) },
      log: () => {},
    });
    const runner: Principal = {
      kind: 'runner',
      id: this.runnerId,
      organizationId: this.#user.organizationId,
    };
    const begun = async (): Promise<void> => {
      await plane.start();
      world.network.listen(process, (requests, signal) => plane.link.sync(requests, runner, signal));
      const transport = createRouterTransport((router) => plane.routes(router), {
        router: {
          interceptors: [
            (next) => async (request) => {
              request.contextValues.set(principalKey, this.#user);
              try {
                return await next(request);
              } catch (error) {
                throw toConnectError(error);
              }
            },
          ],
        },
      });
      this.client = createClient(EnvironmentService, transport);
    };
    // A plane that cannot start ends, and whoever supervises it starts it again.
    void begun().catch(() => process.kill());
  }
}
