/**
 * The life of one environment in a world where nothing goes wrong, but for one death: runner or plane dies at a
 * chosen call of a chosen part of that life, and is started again.
 */
import { sleep } from '@atelier/api';
import { EnvironmentPhase, type EnvironmentService } from '@atelier/api/gitpod/environment';
import { Code, ConnectError, type Client } from '@connectrpc/connect';
import { PlaneHost } from './processes/plane-host.ts';
import { RunnerHost } from './processes/runner-host.ts';
import { ledgerIds } from './processes/runner-storage.ts';
import { unrest } from './rest.ts';
import type { Violation } from './view.ts';
import { Watch } from './watch.ts';
import { calmWorld } from './world/faults.ts';
import { World } from './world/world.ts';

/** The parts of a life, in their order. */
export const lifeParts = ['create', 'stop', 'start', 'rebuild', 'delete'] as const;

/** One part of a life, named by what its user wishes in it. */
export type LifePart = (typeof lifeParts)[number];

/** Who dies when: at the n-th call that it makes from the beginning of the part on, counted from 1. */
export interface Death {
  readonly part: LifePart;
  readonly whose: 'runner' | 'plane';
  readonly atCall: number;
  /** Whether that call still has its effect. */
  readonly effect: boolean;
}

/** What came of a life in which somebody died, or of a whole one. */
export interface LifeReport {
  /** False: the part was over before that call. */
  readonly died: boolean;
  /** The part that was not over in time; undefined when all went well. */
  readonly stuckIn: LifePart | undefined;
  readonly violations: readonly Violation[];
}

const url = 'https://example.com/life.git';
const minuteMs = 60_000;
const partMsMax = 30 * minuteMs;
/** Long enough for every rule about minutes, but for garbage, of which there must be none. */
const restMs = 6 * minuteMs;
const answerMs = 20_000;

/** Lives a life up to the end of the part with the death, and rests. */
export async function live(death: Death): Promise<LifeReport> {
  return new Life(death).go();
}

class Life {
  readonly #death: Death;
  readonly #world = new World(1);
  readonly #plane: PlaneHost;
  readonly #runner: RunnerHost;
  readonly #watch: Watch;
  readonly #work = new Map<string, string>();
  #id = '';
  #count = 0;

  constructor(death: Death) {
    this.#death = death;
    const world = this.#world;
    world.machine.repositories.set(url, { 'README.md': 'Life.' });
    this.#plane = new PlaneHost(world);
    const { runnerId } = this.#plane;
    this.#runner = new RunnerHost({ world, runnerId, onOutcome: () => {}, onPlan: () => {} });
    const workIn = (): ReadonlyMap<string, string> => this.#work;
    this.#watch = new Watch({ world, plane: this.#plane, runner: this.#runner, workIn });
  }

  async go(): Promise<LifeReport> {
    const world = this.#world;
    await this.#plane.prepare();
    world.setFaults(calmWorld);
    this.#plane.start();
    this.#runner.start();
    await world.clock.runUntil(world.clock.awakeMs() + minuteMs);
    for (const part of lifeParts) {
      const isLast = part === this.#death.part;
      const process = isLast ? this.#dying() : undefined;
      const stuck = !(await this.#pass(part));
      if (isLast) await this.#rest();
      const died = process?.alive === false;
      if (isLast || stuck)
        return { died, stuckIn: stuck ? part : undefined, violations: this.#watch.violations };
      this.#write();
    }
    return { died: false, stuckIn: undefined, violations: this.#watch.violations };
  }

  #dying() {
    const { whose, atCall, effect } = this.#death;
    const { process } = whose === 'runner' ? this.#runner : this.#plane;
    process?.killDuring({ afterCalls: atCall, effect });
    return process;
  }

  /** Asks for a part and lets the world run until it is over; false when it is not in time. */
  async #pass(part: LifePart): Promise<boolean> {
    const { clock } = this.#world;
    let answered = false;
    void this.#ask(part).then(() => (answered = true));
    let over = false;
    await clock.runUntil(clock.awakeMs() + partMsMax, () => {
      this.#watch.look();
      over = answered && this.#isOver(part);
      return over;
    });
    return over;
  }

  async #rest(): Promise<void> {
    const { clock } = this.#world;
    await clock.runUntil(clock.awakeMs() + restMs, () => {
      this.#watch.look();
      return false;
    });
    const environments = this.#watch.environments();
    const view = { world: this.#world, environments, knownIds: new Set([this.#id]) };
    for (const [id, what] of unrest({ ...view, ledgerIds: ledgerIds(this.#world.disk) })) {
      this.#watch.found('rest is rest', id, what);
    }
  }

  #isOver(part: LifePart): boolean {
    const view = this.#watch.environments().get(this.#id);
    if (part === 'delete') return view === undefined;
    if (view === undefined) return false;
    const { spec, status } = view;
    if (part === 'stop') return status.phase === EnvironmentPhase.STOPPED;
    const isPresent = status.devcontainer?.session === spec.devcontainer?.session;
    return status.phase === EnvironmentPhase.RUNNING && isPresent;
  }

  /** A file that has to be there until the deletion. */
  #write(): void {
    const session = this.#watch.environments().get(this.#id)?.spec.content?.session;
    if (session === undefined || this.#work.size > 0) return;
    this.#world.machine.disks.get(this.#id)?.workspace.set('work.txt', 'work');
    this.#work.set('work.txt', session);
  }

  /** Calls again until there is an answer. */
  async #ask(part: LifePart): Promise<void> {
    const { clock } = this.#world;
    this.#count += 1;
    for (;;) {
      const { client } = this.#plane;
      const answer = client === undefined ? false : this.#call(client, part).then(() => true, isAnswer);
      if (await Promise.race([answer, sleep(clock, answerMs).then(() => false)])) return;
      await sleep(clock, 1000);
    }
  }

  async #call(client: Client<typeof EnvironmentService>, part: LifePart): Promise<void> {
    const environmentId = this.#id;
    const headers = { 'atelier-idempotency-key': 'life' };
    const specs = [{ spec: { case: 'contextUrl' as const, value: { url } } }];
    switch (part) {
      case 'create': {
        const request = { spec: { content: { initializer: { specs } } } };
        this.#id = (await client.createEnvironment(request, { headers })).environment?.id ?? '';
        return;
      }
      case 'stop':
        return void (await client.stopEnvironment({ environmentId }));
      case 'start':
        return void (await client.startEnvironment({ environmentId }));
      case 'rebuild': {
        const devcontainer = { session: `rebuild-${this.#count}` };
        return void (await client.updateEnvironment({ environmentId, spec: { devcontainer } }));
      }
      case 'delete':
        return void (await client.deleteEnvironment({ environmentId }));
    }
  }
}

/** A refusal is an answer: what was asked for has been done by the call before. */
function isAnswer(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.NotFound || code === Code.FailedPrecondition;
}
