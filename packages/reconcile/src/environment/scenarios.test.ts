/**
 * Sessions of an operator: each file in `scenarios/` has comments (`#`), commands (`>`) and below each command
 * what the plan answered. UPDATE_EXPECT=1 writes the answers anew; read the difference before keeping it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import { expect, it } from 'vitest';
import { durationText } from './backoff.ts';
import type { EnvironmentDesired, PlannedStep } from './model.ts';
import { emptyRecord } from './record.ts';
import { SimulatedRunner, type StepEnd } from './simulated-runner.ts';
import { statusOf } from './status.ts';

const folder = join(import.meta.dirname, 'scenarios');

const wish: EnvironmentDesired = {
  environmentId: 'e',
  phase: 'stopped',
  machineSession: 'm1',
  contentSession: 'c1',
  devcontainerSession: 'd1',
  hasContent: true,
};

function play(script: string): string {
  const runner = new SimulatedRunner(wish, 0);
  const lines: string[] = [];
  for (const line of script.split('\n')) {
    if (line.startsWith('#') || line === '') lines.push(line);
    if (!line.startsWith('> ')) continue;
    lines.push(line);
    const [command = '', ...words] = line.slice(2).split(' ');
    if (command === 'settle') lines.push(...settle(runner));
    else {
      act(runner, command, words);
      lines.push(...answer(runner));
    }
    expect(runner.findings).toEqual([]);
  }
  return lines.join('\n');
}

/** Carries on until nothing is left to do, every step ending well; tells the steps and where it came to. */
function settle(runner: SimulatedRunner): string[] {
  const ended: string[] = [];
  for (let count = 0; count < 60; count += 1) {
    const plan = runner.pass();
    if (plan.settled) break;
    const step = runner.running[0];
    if (step === undefined) {
      ended.push('(wait)');
      runner.nowMs = Math.max(runner.nowMs, plan.wakeAtMs ?? runner.nowMs);
    } else {
      ended.push(stepText(step.planned));
      runner.end(step, 'succeeds');
    }
  }
  return [`  ${ended.join(' -> ')}`, ...answer(runner)];
}

const ends: Readonly<Record<string, StepEnd>> = {
  done: 'succeeds',
  fails: 'fails',
  'fails-for-good': 'fails for good',
  lost: 'lost',
};

/** Makes happen what a command says. */
function act(runner: SimulatedRunner, command: string, words: readonly string[]): void {
  const { machine } = runner;
  const end = ends[command];
  if (end !== undefined) {
    const step = runner.running.find(({ planned }) => planned.step === words[0]);
    if (step === undefined) throw new Error(`no step ${words[0]} runs`);
    runner.end(step, end);
    return;
  }
  const acts: Record<string, () => void> = {
    wish: () => (runner.desired = { ...runner.desired, ...wishOf(words) }),
    wait: () => (runner.nowMs += Number(words[0]) * 1000),
    'runner-dies': () => runner.crash(),
    'record-lost': () => (runner.record = emptyRecord(runner.nowMs)),
    idle: () =>
      (runner.record = { ...runner.record, idleStop: { sinceMs: runner.nowMs, reason: words.join(' ') } }),
    'main-ends': () => machine.endMain(words[0] ?? ''),
    'host-restarts': () => machine.loseMain(),
    'link-lost': () => (machine.supervisor = undefined),
    'image-lost': () => (machine.imagePresent = false),
    'reference-moves': () => (machine.imageRevision += 1),
    'network-lost': () => (machine.network = false),
    'disk-lost': () => (machine.disk = undefined),
    'lifecycle-will': () => (machine.lifecycle = words[0] === 'fail' ? 'failed' : 'succeeded'),
    'lifecycle-ends': () => machine.endLifecycle(),
  };
  const found = acts[command];
  if (found === undefined) throw new Error(`there is no command ${command}`);
  found();
}

const sessions: Readonly<Record<string, keyof EnvironmentDesired>> = {
  m: 'machineSession',
  c: 'contentSession',
  d: 'devcontainerSession',
};

function wishOf(words: readonly string[]): Partial<EnvironmentDesired> {
  const entries = words.map((word) => {
    if (word === 'empty') return ['hasContent', false];
    const session = sessions[word[0] ?? ''];
    return session !== undefined && /^[mcd]\d$/.test(word) ? [session, word] : ['phase', word];
  });
  return Object.fromEntries(entries) as Partial<EnvironmentDesired>;
}

function answer(runner: SimulatedRunner): string[] {
  const before = runner.record;
  const plan = runner.pass();
  const observed = runner.machine.observe(runner.record, []);
  const { phase } = statusOf(runner.desired, observed, plan);
  const changed = Object.entries(plan.recordChange)
    .filter(
      ([key, value]) =>
        !['goal', 'goalSinceMs', 'forgetFailures'].includes(key) &&
        value !== before[key as keyof typeof before],
    )
    .map(([key, value]) => `${key}=${value === undefined ? '-' : JSON.stringify(value)}`);
  const waits = [
    plan.wakeAtMs === undefined ? '' : `wakes in ${durationText(plan.wakeAtMs - runner.nowMs)}`,
    plan.deadlineMs === undefined ? '' : `phase ends in ${durationText(plan.deadlineMs - runner.nowMs)}`,
  ].filter((text) => text !== '');
  return [
    `  ${EnvironmentPhase[phase]}: machine ${plan.machine}, content ${plan.content}, dev container ${plan.devcontainer}`,
    ...(changed.length > 0 ? [`  writes ${changed.join(' ')}`] : []),
    ...(plan.steps.length > 0 ? [`  runs ${plan.steps.map(stepText).join(' | ')}`] : []),
    `  ${[...waits, ...(plan.settled ? ['settled'] : [])].join(', ')}`,
    `  ${plan.reason}`,
  ];
}

function stepText(planned: PlannedStep): string {
  const { step, session, attempt, generation, recovery, release } = planned;
  const words = [`${step} ${session}`];
  if (generation !== undefined) words.push(`layer ${generation}`);
  if (recovery) words.push('with the base image');
  for (const target of release) {
    words.push(target.kind === 'generation' ? `layer ${target.generation}` : target.kind);
  }
  if (attempt > 1) words.push(`attempt ${attempt}`);
  return words.join(', ');
}

for (const name of readdirSync(folder).filter((each) => each.endsWith('.txt'))) {
  it(name.replace('.txt', ''), () => {
    const path = join(folder, name);
    const written = readFileSync(path, 'utf8');
    const played = play(written).replaceAll(/\n\n+/g, '\n\n');
    if (process.env['UPDATE_EXPECT'] === '1') writeFileSync(path, played);
    else expect(played).toBe(written);
  });
}
