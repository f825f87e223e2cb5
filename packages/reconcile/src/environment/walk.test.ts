import { describe, expect, it } from 'vitest';
import type { EnvironmentDesired, EnvironmentPlan } from './model.ts';
import { planEnvironment } from './plan.ts';
import { emptyRecord } from './record.ts';
import { SimulatedRunner, type StepEnd } from './simulated-runner.ts';

/** Mulberry32: small, seeded, good enough to walk with. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const passesMax = 80;

function wish(count: number, hasContent: boolean): EnvironmentDesired {
  const session = String(count);
  return {
    environmentId: 'environment',
    phase: 'running',
    machineSession: `machine-${session}`,
    contentSession: `content-${session}`,
    devcontainerSession: `container-${session}`,
    hasContent,
  };
}

/** How often each kind of fault, end of a step and standing was met. */
interface Seen {
  readonly faults: Map<string, number>;
  readonly standings: Map<string, number>;
}

type Pick = <T>(of: readonly T[]) => T;
type Acts = Readonly<Record<string, () => void>>;

/** What a user or the plane may come to wish at any moment. */
function wishesFor(runner: SimulatedRunner): Acts {
  let sessions = 1;
  const next = (): string => String((sessions += 1));
  const wished = (change: Partial<EnvironmentDesired>): void => {
    runner.desired = { ...runner.desired, ...change };
  };
  return {
    stop: () => wished({ phase: 'stopped' }),
    start: () => wished({ phase: 'running', machineSession: `machine-${next()}` }),
    rebuild: () => wished({ devcontainerSession: `container-${next()}` }),
    renew: () => wished({ contentSession: `content-${next()}` }),
    idle: () => (runner.record = { ...runner.record, idleStop: { sinceMs: runner.nowMs, reason: 'Idle.' } }),
  };
}

/** What may happen to a machine and a process at any moment. */
function accidentsFor(runner: SimulatedRunner, pick: Pick): Acts {
  const { machine } = runner;
  return {
    'runner dies': () => runner.crash(),
    'instance ends': () => machine.endMain(pick(['exited', 'out-of-memory', 'unknown'])),
    'host restarts': () => machine.loseMain(),
    'link is lost': () => (machine.supervisor = undefined),
    'state is changed': () => {
      if (machine.supervisor) machine.supervisor = { ...machine.supervisor, applied: false };
    },
    'network is gone': () => (machine.network = false),
    'image is gone': () => (machine.imagePresent = false),
    'reference moves': () => (machine.imageRevision += 1),
    'record is lost': () => (runner.record = emptyRecord(runner.nowMs)),
    'pin is gone': () => (machine.pinnedDigest = undefined),
    'throw-away is left': () => (machine.throwaway = ['content-1']),
    'life cycle fails': () => (machine.lifecycle = 'failed'),
    'life cycle succeeds': () => (machine.lifecycle = 'succeeded'),
  };
}

// Four of seven steps end well: enough to get somewhere, and to fail for good now and then.
const ends: readonly StepEnd[] = [
  'succeeds',
  'succeeds',
  'succeeds',
  'succeeds',
  'fails',
  'fails for good',
  'lost',
];

/** Walks one environment through random wishes and faults, then lets it come to rest, then deletes it. */
function walk(seed: number, length: number, plan = planEnvironment): { findings: string[]; seen: Seen } {
  const random = randomOf(seed);
  const pick: Pick = <T>(of: readonly T[]) => of[Math.floor(random() * of.length)] as T;
  const runner = new SimulatedRunner(wish(1, random() < 0.8), 1_000_000, plan);
  const seen: Seen = { faults: new Map(), standings: new Map() };
  const wishes = wishesFor(runner);
  const accidents = accidentsFor(runner, pick);
  for (let count = 0; count < length && runner.findings.length === 0; count += 1) {
    const chance = random();
    if (chance < 0.02) wishes[pick(Object.keys(wishes))]?.();
    else if (chance < 0.05) {
      const name = pick(Object.keys(accidents));
      accidents[name]?.();
      add(seen.faults, name);
    }
    const { machine, content, devcontainer, settled } = runner.pass();
    add(seen.standings, `${machine} ${content} ${devcontainer}${settled ? ' settled' : ''}`);
    if (runner.running.length > 0 && random() < 0.85) {
      const end = pick(ends);
      add(seen.faults, end);
      runner.end(pick(runner.running), end);
    } else {
      runner.nowMs += Math.floor(random() * (random() < 0.05 ? 4_000_000 : 5000));
    }
  }
  const findings = runner.findings.length > 0 ? runner.findings : atRest(runner);
  return { findings: findings.map((finding) => `seed ${seed}: ${finding}`), seen };
}

function add(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

/** After the faults have ended: what is wished comes true, and a deletion leaves nothing. */
function atRest(runner: SimulatedRunner): string[] {
  runner.machine.lifecycle = 'succeeded';
  const findings: string[] = [];
  const before = JSON.stringify([runner.desired, runner.record, runner.machine]);
  if (!runner.converge(passesMax)) findings.push(`no rest (${runner.plan?.reason}) after ${before}`);
  // Without faults a fresh start has to succeed, whatever was before.
  runner.desired = { ...runner.desired, phase: 'running', machineSession: 'machine-last' };
  if (!runner.converge(passesMax) || runner.plan?.machine !== 'running') {
    findings.push(`a fresh start does not run: ${runner.plan?.reason}`);
  }
  runner.desired = { ...runner.desired, phase: 'deleted' };
  if (!runner.converge(passesMax) || runner.plan?.machine !== 'deleted') {
    findings.push(`a deletion does not end: ${runner.plan?.reason}`);
  }
  if (runner.machine.disk || runner.machine.network || runner.machine.main || runner.machine.pinnedDigest) {
    findings.push('a deletion leaves something');
  }
  return [...findings, ...runner.findings];
}

/** From every state of a walk a deletion comes to its end. */
function deleteFromEverywhere(seed: number, length: number): string[] {
  for (let stop = 0; stop < length; stop += 1) {
    const runner = new SimulatedRunner(wish(1, true), 1_000_000);
    const random = randomOf(seed);
    for (let count = 0; count < stop; count += 1) {
      runner.pass();
      const step = runner.running[0];
      if (step === undefined) runner.nowMs = runner.plan?.wakeAtMs ?? runner.nowMs;
      else runner.end(step, random() < 0.8 ? 'succeeds' : 'fails');
    }
    runner.desired = { ...runner.desired, phase: 'deleted' };
    if (!runner.converge(passesMax)) return [`stuck after ${stop} passes: ${runner.plan?.reason}`];
    if (runner.findings.length > 0) return runner.findings;
  }
  return [];
}

/** Machine, content, dev container: a walk that does not meet them proves nothing about them. */
const standings = [
  'creating none none',
  'starting initializing none',
  'running ready creating',
  'running ready running settled',
  'running ready failed settled',
  'running updating creating',
  'stopping ready creating',
  'stopping ready stopped',
  'stopped ready stopped settled',
  'stopped failed none settled',
];

const seeds = Array.from({ length: 100 }, (_, index) => index + 1);

describe('random walks', () => {
  it('stay sound, come to rest and can be deleted, with every fault and standing met', () => {
    const findings: string[] = [];
    const met: Seen = { faults: new Map(), standings: new Map() };
    for (const seed of seeds) {
      const { findings: found, seen } = walk(seed, 200);
      findings.push(...found);
      for (const [name, count] of seen.faults) add(met.faults, name, count);
      for (const [name, count] of seen.standings) add(met.standings, name, count);
    }
    expect(findings.slice(0, 5)).toEqual([]);
    expect(met.faults.size).toBe(17);
    for (const [name, count] of met.faults) expect(count, name).toBeGreaterThan(20);
    for (const name of standings) expect(met.standings.get(name) ?? 0, name).toBeGreaterThan(20);
  });

  it('delete from every state on the way', () => {
    for (const seed of [1, 2, 3]) expect(deleteFromEverywhere(seed, 40)).toEqual([]);
  });
});

type Planted = (plan: EnvironmentPlan, desired: EnvironmentDesired) => EnvironmentPlan;

const planted: Record<string, Planted> = {
  'a failed environment counts as settled': (plan) =>
    plan.failureMessage === '' ? plan : { ...plan, steps: [], settled: true },
  'nobody wakes it': (plan) => (plan.steps.length > 0 ? plan : { ...plan, wakeAtMs: undefined }),
  'a stop takes the disk': (plan) => ({
    ...plan,
    steps: plan.steps.map((step) =>
      step.step === 'release' ? { ...step, release: [...step.release, { kind: 'disk' as const }] } : step,
    ),
  }),
  'content is made again with each start': (plan, desired) => {
    if (!('machineSession' in plan.recordChange)) return plan;
    return {
      ...plan,
      steps: [
        {
          step: 'content',
          session: desired.contentSession,
          attempt: 1,
          deadlineMs: 1e12,
          recovery: false,
          release: [],
        },
      ],
    };
  },
  'a shutdown is waited for without end': (plan) =>
    plan.steps.some(({ step }) => step === 'stop') ? { ...plan, steps: [], wakeAtMs: 1e12 } : plan,
  'the boot is not named': (plan) => {
    const { boot: _boot, ...recordChange } = plan.recordChange;
    return { ...plan, recordChange };
  },
  'running is said too early': (plan) => ({ ...plan, settled: plan.settled || plan.machine === 'running' }),
  'the old root layer goes at once': (plan) => ({
    ...plan,
    steps: plan.steps.map((step) =>
      step.step === 'root'
        ? { ...step, release: [{ kind: 'generation' as const, generation: (step.generation ?? 1) - 1 }] }
        : step,
    ),
  }),
};

describe('the oracles can fail', () => {
  it.each(Object.entries(planted))('%s', (_name, change) => {
    const broken: typeof planEnvironment = (desired, observed, deadlines, nowMs) =>
      change(planEnvironment(desired, observed, deadlines, nowMs), desired);
    const found = seeds.some((seed) => walk(seed, 150, broken).findings.length > 0);
    expect(found).toBe(true);
  });
});
