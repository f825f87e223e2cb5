/** The users of a world: each has one environment at a time and does with it what users do. */
import { isLasting, sleep, type Random } from '@atelier/api';
import {
  EnvironmentPhase,
  EnvironmentService,
  type CreateEnvironmentRequestSchema,
} from '@atelier/api/gitpod/environment';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type Client } from '@connectrpc/connect';
import { callOver } from './world/calls.ts';
import type { World } from './world/world.ts';
import { between, pick } from './world/random.ts';

/** Everything that a user does with an environment. */
export const actionNames = [
  'create',
  'start',
  'stop',
  'rebuild',
  'new-content',
  'work',
  'mark-active',
  'delete',
] as const;

/** Name of something that a user does. */
export type ActionName = (typeof actionNames)[number];

/** What a user sees of an environment. */
export interface EnvironmentLook {
  readonly phase: EnvironmentPhase;
  /** Session of the content that is there; undefined while it is being replaced. */
  readonly contentSession: string | undefined;
}

/** What users need of their world. */
export interface UserOptions {
  readonly world: World;
  /** The plane's client, undefined while the plane does not answer. */
  readonly client: () => Client<typeof EnvironmentService> | undefined;
  /** What the store says of an environment, undefined when it has none of this id. */
  readonly look: (environmentId: string) => EnvironmentLook | undefined;
}

/** People work for a while and are away for longer: then what runs by itself shows, such as the end for idleness. */
const stretchActionsMin = 6;
const stretchActionsMax = 18;
const pauseMeanMs = 5 * 60_000;
/** Some do the next thing before the last one has come to anything. */
const hastyProbability = 0.25;
const hastyPauseMs = 4000;
const awayMeanMs = 180 * 60_000;
const answerMs = 20_000;
const retryMs = 3000;

/** One user, who acts at random moments until it is stopped. */
export class User {
  /** Files written into the present environment, by path, with their content session. */
  readonly work = new Map<string, string>();
  environmentId: string | undefined;
  readonly actions = new Map<ActionName, number>();
  readonly #options: UserOptions;
  readonly #random: Random;
  readonly #name: string;
  #count = 0;
  #stopped = false;

  constructor(options: UserOptions, name: string) {
    this.#options = options;
    this.#name = name;
    this.#random = options.world.random(`user ${name}`);
  }

  /** Begins to act; goes on until `stop`. */
  start(): void {
    void this.#live();
  }

  /** Lets the user do nothing more once the present action is through. */
  stop(): void {
    this.#stopped = true;
  }

  async #live(): Promise<void> {
    for (;;) {
      const actions = between(this.#random, stretchActionsMin, stretchActionsMax);
      for (let count = 0; count < actions; count += 1) {
        await this.#pause(this.#random() < hastyProbability ? hastyPauseMs : pauseMeanMs);
        if (this.#stopped) return;
        await this.#act();
      }
      await this.#pause(awayMeanMs);
    }
  }

  #pause(meanMs: number): Promise<void> {
    return sleep(this.#options.world.clock, -Math.log(1 - this.#random()) * meanMs);
  }

  async #act(): Promise<void> {
    const id = this.environmentId;
    const seen = id === undefined ? undefined : this.#options.look(id);
    if (id === undefined || seen === undefined) return this.#create();
    const weighted = [
      'start',
      'start',
      'stop',
      'stop',
      'rebuild',
      'work',
      'work',
      'work',
      'mark-active',
      'delete',
    ];
    const action = pick(this.#random, ['new-content', ...weighted] as [ActionName, ...ActionName[]]);
    if (action === 'work' && !this.#write(id, seen)) return;
    if (!isLasting(seen.phase) && action !== 'work') this.#options.world.meet('change-in-flight');
    this.#note(action, id);
    await this.#ask((client, count) => {
      switch (action) {
        case 'start':
          return client.startEnvironment({ environmentId: id });
        case 'stop':
          return client.stopEnvironment({ environmentId: id });
        case 'delete':
          return client.deleteEnvironment({ environmentId: id });
        case 'mark-active':
          return client.markEnvironmentActive({ environmentId: id, activitySignal: { source: this.#name } });
        case 'rebuild':
          return client.updateEnvironment({
            environmentId: id,
            spec: { devcontainer: { session: `rebuild-${count}` } },
          });
        case 'new-content':
          return client.updateEnvironment({
            environmentId: id,
            spec: { content: { session: `content-${count}` } },
          });
        default:
          return Promise.resolve({});
      }
    });
  }

  async #create(): Promise<void> {
    this.#count += 1;
    const repository = pick(this.#random, repositoryNames);
    const url = `https://example.com/${repository}.git`;
    const key = `${this.#name}-${this.#count}`;
    const initializer = { specs: [{ spec: { case: 'contextUrl' as const, value: { url } } }] };
    const request: MessageInitShape<typeof CreateEnvironmentRequestSchema> =
      repository === '' ? {} : { spec: { content: { initializer } } };
    this.work.clear();
    await this.#ask(async (client) => {
      const headers = { 'atelier-idempotency-key': key };
      const { environment } = await client.createEnvironment(request, { headers });
      this.environmentId = environment?.id;
      this.#note('create', environment?.id ?? '');
    });
  }

  /** Writes a file where its environment runs; false when it does not. */
  #write(id: string, { phase, contentSession }: EnvironmentLook): boolean {
    if (phase !== EnvironmentPhase.RUNNING || contentSession === undefined) return false;
    const { machine } = this.#options.world;
    const disk = machine.disks.get(id);
    const main = machine.running(id).find(({ start }) => start.root.kind === 'disk');
    const supervised = main?.supervisor.spec !== undefined && !main.supervisor.shutDown;
    if (disk === undefined || !supervised || machine.running(id).length > 1) return false;
    this.#count += 1;
    const path = `work-${this.#count}.txt`;
    disk.workspace.set(path, 'work');
    machine.changed();
    this.work.set(path, contentSession);
    return true;
  }

  /** Calls until there is an answer; one that says no is an answer. */
  async #ask(
    call: (client: Client<typeof EnvironmentService>, count: number) => Promise<unknown>,
  ): Promise<void> {
    const { world, client } = this.#options;
    this.#count += 1;
    const count = this.#count;
    for (;;) {
      const arrive = async (): Promise<string> => {
        const present = client();
        return present === undefined ? 'lost' : call(present, count).then(() => 'done', outcomeOf);
      };
      const answer = callOver(world, this.#random, arrive);
      const outcome = await Promise.race([answer, sleep(world.clock, answerMs).then(() => 'lost')]);
      if (outcome !== 'lost') return;
      await sleep(world.clock, between(this.#random, 1, retryMs));
    }
  }

  #note(action: ActionName, id: string): void {
    this.actions.set(action, (this.actions.get(action) ?? 0) + 1);
    this.#options.world.note(`user ${this.#name} ${action} ${id}`);
  }
}

function outcomeOf(error: unknown): string {
  const { code } = ConnectError.from(error);
  const no = [Code.NotFound, Code.FailedPrecondition, Code.InvalidArgument, Code.AlreadyExists];
  return no.includes(code) ? 'refused' : 'lost';
}

/** What users ask for: nothing at all as well, and what is nowhere. */
const repositoryNames = ['plain', 'plain', 'image', 'lifecycle', 'waits', 'broken', 'missing', ''] as const;

/** The repositories of the world, by their URL; `missing` is nowhere. */
export const repositories = {
  'https://example.com/plain.git': { 'README.md': 'Plain.' },
  'https://example.com/image.git': { '.devcontainer/devcontainer.json': '{"image": "example.com/tools:1"}' },
  'https://example.com/lifecycle.git': {
    '.devcontainer/devcontainer.json': '{"postCreateCommand": "make", "postStartCommand": "true"}',
    '.gitpod/automations.yaml':
      '{"services": {"db": {"name": "db", "commands": {"start": "db"}, "triggeredBy": ["postEnvironmentStart"]}}}',
  },
  'https://example.com/waits.git': {
    '.devcontainer/devcontainer.json':
      '{"onCreateCommand": "true", "postCreateCommand": "make", "waitFor": "postCreateCommand"}',
  },
  'https://example.com/broken.git': { '.devcontainer/devcontainer.json': '{"image": ' },
};
