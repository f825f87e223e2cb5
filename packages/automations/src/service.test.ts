import {
  ServicePhase,
  ServiceSchema,
  ServiceStatusSchema,
  type Service,
  type ServiceSpec,
} from '@atelier/api/gitpod/environment_automation';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { ProcessFacts } from './process.ts';
import { nextServiceActions, type ServiceAction, type ServiceFacts } from './service.ts';

/** How a command behaves: when it ends by itself, with what, and whether SIGTERM impresses it. */
interface Behaviour {
  endsAfterMs?: number;
  code?: number;
  ignoresTerm?: boolean;
}

interface Scenario {
  spec: MessageInitShape<typeof ServiceSchema>['spec'];
  status?: MessageInitShape<typeof ServiceStatusSchema>;
  start?: Behaviour;
  /** One per check; the last one repeats. */
  ready?: Behaviour[];
  stop?: Behaviour;
  dependencies?: Service[];
  /** What somebody wants at a time, in the order of time. */
  changes?: { atMs: number; wanted?: Partial<ServiceSpec>; dependencies?: Service[] }[];
}

/** What every service does that starts at once and needs no check. */
const began = ['0 report STARTING s1', '0 start: serve', '0 report RUNNING s1'];

const running = { desiredPhase: ServicePhase.RUNNING, session: 's1' };

/** A supervisor with a simulated clock: drives the rules and writes down what they asked for, with times. */
class Stage {
  nowMs = 0;
  readonly lines: string[] = [];
  readonly service: Service;
  facts: ServiceFacts;
  #checks = 0;
  #endings = new Map<ProcessFacts, Behaviour>();

  readonly scenario: Scenario;

  constructor(scenario: Scenario) {
    this.scenario = scenario;
    this.service = create(ServiceSchema, { id: 'id-1', spec: scenario.spec! });
    const status = create(ServiceStatusSchema, scenario.status);
    this.facts = { status, dependencies: scenario.dependencies ?? [] };
  }

  run(): string[] {
    const changes = [...(this.scenario.changes ?? [])];
    for (let pass = 0; pass < 200; pass += 1) {
      const step = nextServiceActions(this.service, this.facts, this.nowMs);
      for (const action of step.actions) this.#apply(action);
      if (step.actions.length > 0) continue;
      const nextMs = Math.min(changes[0]?.atMs ?? Infinity, step.againAtMs ?? Infinity, this.#nextEndMs());
      if (!Number.isFinite(nextMs)) return this.lines;
      expect(nextMs, 'a rule asks for a look at a time that has passed').toBeGreaterThan(this.nowMs - 1);
      this.nowMs = nextMs;
      this.#endProcesses();
      while (changes[0] && changes[0].atMs <= this.nowMs) {
        const { wanted, dependencies } = changes.shift()!;
        Object.assign(this.service.spec!, wanted);
        if (dependencies) this.facts = { ...this.facts, dependencies };
      }
    }
    throw new Error(`the rules never come to rest:\n${this.lines.slice(-20).join('\n')}`);
  }

  #apply(action: ServiceAction): void {
    if (action.kind === 'report') {
      const { phase, session, failureMessage } = action.status;
      this.facts = { ...this.facts, status: action.status };
      const reason = failureMessage && ` (${failureMessage})`;
      this.#log(`report ${ServicePhase[phase]} ${session || '-'}${reason}`);
    } else if (action.kind === 'signal') {
      const process = this.facts[action.target]!;
      const at = action.signal === 'SIGTERM' ? { terminatedAtMs: this.nowMs } : { killedAtMs: this.nowMs };
      this.#log(`${action.signal} ${action.target}`);
      const ignored = action.signal === 'SIGTERM' && this.#endings.get(process)?.ignoresTerm;
      const exit = ignored ? {} : { exit: { atMs: this.nowMs, signal: action.signal } };
      this.facts = { ...this.facts, [action.target]: { ...process, ...at, ...exit } };
      if (ignored) this.#endings.set(this.facts[action.target]!, { ignoresTerm: true });
    } else {
      const { ready = [{}] } = this.scenario;
      const check = ready[Math.min(this.#checks, ready.length - 1)]!;
      if (action.kind === 'ready') this.#checks += 1;
      const behaviour = action.kind === 'ready' ? check : (this.scenario[action.kind] ?? {});
      const process = { startedAtMs: this.nowMs };
      this.#endings.set(process, behaviour);
      if (action.kind === 'start') {
        const { status, dependencies } = this.facts;
        this.facts = { status, dependencies, start: process };
      } else this.facts = { ...this.facts, [action.kind]: process };
      this.#log(`${action.kind}: ${action.command}`);
    }
  }

  #log(line: string): void {
    this.lines.push(`${this.nowMs} ${line}`);
  }

  #nextEndMs(): number {
    const alive = [this.facts.start, this.facts.ready, this.facts.stop].filter(
      (facts) => facts && !facts.exit,
    );
    return Math.min(
      ...alive.map((facts) => facts!.startedAtMs + (this.#endings.get(facts!)?.endsAfterMs ?? Infinity)),
    );
  }

  #endProcesses(): void {
    for (const name of ['start', 'ready', 'stop'] as const) {
      const process = this.facts[name];
      if (!process || process.exit) continue;
      const { endsAfterMs = Infinity, code = 0 } = this.#endings.get(process) ?? {};
      if (process.startedAtMs + endsAfterMs > this.nowMs) continue;
      this.facts = { ...this.facts, [name]: { ...process, exit: { atMs: this.nowMs, code } } };
    }
  }
}

function dependency(phase: ServicePhase, desiredPhase = ServicePhase.RUNNING): Service {
  const session = phase === ServicePhase.UNSPECIFIED ? '' : 'd1';
  return create(ServiceSchema, {
    id: 'id-db',
    metadata: { reference: 'db' },
    spec: { desiredPhase, session: 'd1' },
    status: { phase, session },
  });
}

const scenarios: Record<string, [Scenario, string[]]> = {
  'start exits with 0: STOPPED, and no restart': [
    { spec: { ...running, commands: { start: 'serve' } }, start: { endsAfterMs: 500 } },
    [...began, '500 report STOPPED s1'],
  ],
  'start exits with another code: FAILED, and no restart': [
    { spec: { ...running, commands: { start: 'serve' } }, start: { endsAfterMs: 500, code: 3 } },
    [...began, '500 report FAILED s1 (its start command exited with code 3)'],
  ],
  'a new session starts a failed service again': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      status: { phase: ServicePhase.FAILED, session: 's1', failureMessage: 'x', output: { a: 'b' } },
      changes: [{ atMs: 10, wanted: { session: 's2' } }],
    },
    ['10 report STARTING s2', '10 start: serve', '10 report RUNNING s2'],
  ],
  'ready is asked once per second until it succeeds': [
    {
      spec: { ...running, commands: { start: 'serve', ready: 'probe' } },
      ready: [{ endsAfterMs: 10, code: 1 }, { endsAfterMs: 1500, code: 1 }, { endsAfterMs: 10 }],
    },
    [
      '0 report STARTING s1',
      '0 start: serve',
      '0 ready: probe',
      '1000 ready: probe',
      '2500 ready: probe',
      '2510 report RUNNING s1',
    ],
  ],
  'start ends before it is ready: the check is ended too': [
    { spec: { ...running, commands: { start: 'serve', ready: 'probe' } }, start: { endsAfterMs: 700 } },
    [
      '0 report STARTING s1',
      '0 start: serve',
      '0 ready: probe',
      '700 SIGKILL ready',
      '700 report STOPPED s1',
    ],
  ],
  'not ready in time: FAILED at once, then stopped': [
    {
      spec: { ...running, commands: { start: 'serve', ready: 'probe' }, readinessTimeout: { seconds: 2n } },
      start: { ignoresTerm: true },
      ready: [{ endsAfterMs: 1, code: 1 }, {}],
    },
    [
      '0 report STARTING s1',
      '0 start: serve',
      '0 ready: probe',
      '1000 ready: probe',
      '2000 report FAILED s1 (was not ready within 2 s of its start)',
      '2000 SIGKILL ready',
      '2000 SIGTERM start',
      '122000 SIGKILL start',
    ],
  ],
  'stop without a command: SIGTERM': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      changes: [{ atMs: 50, wanted: { desiredPhase: ServicePhase.STOPPED } }],
    },
    [...began, '50 report STOPPING s1', '50 SIGTERM start', '50 report STOPPED s1'],
  ],
  'SIGTERM ignored: SIGKILL after two minutes': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      start: { ignoresTerm: true },
      changes: [{ atMs: 50, wanted: { desiredPhase: ServicePhase.STOPPED } }],
    },
    [
      ...began,
      '50 report STOPPING s1',
      '50 SIGTERM start',
      '120050 SIGKILL start',
      '120050 report STOPPED s1',
    ],
  ],
  'stop with a command: it runs, then SIGKILL': [
    {
      spec: { ...running, commands: { start: 'serve', stop: 'halt' } },
      stop: { endsAfterMs: 300 },
      changes: [{ atMs: 50, wanted: { desiredPhase: ServicePhase.STOPPED } }],
    },
    [...began, '50 report STOPPING s1', '50 stop: halt', '350 SIGKILL start', '350 report STOPPED s1'],
  ],
  'a stop command that fails: FAILED': [
    {
      spec: { ...running, commands: { start: 'serve', stop: 'halt' } },
      stop: { endsAfterMs: 300, code: 9 },
      changes: [{ atMs: 50, wanted: { desiredPhase: ServicePhase.STOPPED } }],
    },
    [
      ...began,
      '50 report STOPPING s1',
      '50 stop: halt',
      '350 SIGKILL start',
      '350 report FAILED s1 (its stop command exited with code 9)',
    ],
  ],
  'a stop command that hangs: both are killed after two minutes': [
    {
      spec: { ...running, commands: { start: 'serve', stop: 'halt' } },
      changes: [{ atMs: 50, wanted: { desiredPhase: ServicePhase.STOPPED } }],
    },
    [
      ...began,
      '50 report STOPPING s1',
      '50 stop: halt',
      '120050 SIGKILL stop',
      '120050 SIGKILL start',
      '120050 report FAILED s1 (its stop command was ended by SIGKILL)',
    ],
  ],
  'a new session stops the old one first': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      changes: [{ atMs: 50, wanted: { session: 's2' } }],
    },
    [
      ...began,
      '50 report STOPPING s1',
      '50 SIGTERM start',
      '50 report STARTING s2',
      '50 start: serve',
      '50 report RUNNING s2',
    ],
  ],
  'deleted: stopped first': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      changes: [{ atMs: 50, wanted: { desiredPhase: ServicePhase.DELETED } }],
    },
    [...began, '50 report STOPPING s1', '50 SIGTERM start', '50 report DELETED s1'],
  ],
  'never started: STOPPED': [
    { spec: { desiredPhase: ServicePhase.STOPPED, commands: { start: 'serve' } } },
    ['0 report STOPPED -'],
  ],
  'gone with the environment: STOPPED, and no restart': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      status: { phase: ServicePhase.RUNNING, session: 's1' },
    },
    ['0 report STOPPED s1'],
  ],
  'waits until a dependency runs': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      dependencies: [dependency(ServicePhase.UNSPECIFIED)],
      changes: [
        { atMs: 100, dependencies: [dependency(ServicePhase.STARTING)] },
        { atMs: 200, dependencies: [dependency(ServicePhase.RUNNING)] },
      ],
    },
    ['0 report STARTING -', '200 report STARTING s1', '200 start: serve', '200 report RUNNING s1'],
  ],
  'a dependency that fails cancels it': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      dependencies: [dependency(ServicePhase.STARTING)],
      changes: [{ atMs: 100, dependencies: [dependency(ServicePhase.FAILED)] }],
    },
    ['0 report STARTING -', '100 report STOPPED s1 (depends on db, which failed)'],
  ],
  'a dependency that nobody started cancels it': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      dependencies: [dependency(ServicePhase.STOPPED, ServicePhase.STOPPED)],
    },
    ['0 report STOPPED s1 (depends on db, which was not started)'],
  ],
  'a dependency that fails later changes nothing': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      dependencies: [dependency(ServicePhase.RUNNING)],
      changes: [{ atMs: 100, dependencies: [dependency(ServicePhase.FAILED)] }],
    },
    began,
  ],
  'stopped while it waits': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      dependencies: [dependency(ServicePhase.STARTING)],
      changes: [{ atMs: 100, wanted: { desiredPhase: ServicePhase.STOPPED } }],
    },
    ['0 report STARTING -', '100 report STOPPED -'],
  ],
  'stopped while it waits, after an earlier failure': [
    {
      spec: { ...running, commands: { start: 'serve' } },
      start: { endsAfterMs: 10, code: 1 },
      changes: [
        { atMs: 50, wanted: { session: 's2' }, dependencies: [dependency(ServicePhase.STARTING)] },
        { atMs: 60, wanted: { desiredPhase: ServicePhase.STOPPED } },
      ],
    },
    [
      ...began,
      '10 report FAILED s1 (its start command exited with code 1)',
      '50 report STARTING s1',
      '60 report STOPPED s1',
    ],
  ],
  'stop is not undone by wanting the same session again': [
    {
      spec: { ...running, commands: { start: 'serve', stop: 'halt' } },
      stop: { endsAfterMs: 300 },
      changes: [
        { atMs: 50, wanted: { desiredPhase: ServicePhase.STOPPED } },
        { atMs: 60, wanted: { desiredPhase: ServicePhase.RUNNING } },
      ],
    },
    [...began, '50 report STOPPING s1', '50 stop: halt', '350 SIGKILL start', '350 report STOPPED s1'],
  ],
};

test.each(Object.entries(scenarios))('%s', (_name, [scenario, expected]) => {
  expect(new Stage(scenario).run()).toEqual(expected);
});

test('a command that cannot be started says why', () => {
  const service = create(ServiceSchema, { spec: { ...running, commands: { start: 'serve' } } });
  const status = create(ServiceStatusSchema, { phase: ServicePhase.STARTING, session: 's1' });
  const start = { startedAtMs: 0, exit: { atMs: 1, error: 'no such user' } };
  const [action] = nextServiceActions(service, { status, start, dependencies: [] }, 5).actions;
  expect(action).toMatchObject({
    kind: 'report',
    status: {
      phase: ServicePhase.FAILED,
      failureMessage: 'its start command could not be started: no such user',
    },
  });
});

test('outputs belong to a session', () => {
  const service = create(ServiceSchema, {
    spec: { ...running, session: 's2', commands: { start: 'serve' } },
  });
  const status = create(ServiceStatusSchema, {
    session: 's1',
    phase: ServicePhase.STOPPED,
    output: { a: 'b' },
  });
  const [action] = nextServiceActions(service, { status, dependencies: [] }, 0).actions;
  expect(action?.kind === 'report' && action.status.output).toEqual({});
  expect(status.output).toEqual({ a: 'b' });
});
