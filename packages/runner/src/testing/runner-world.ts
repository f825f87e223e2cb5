/** One runner, its disk, its plane and a clock, for tests: killed and started again as often as one likes. */
import { generateKeyPairSync } from 'node:crypto';
import { makeId, type Random } from '@atelier/api';
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import { DesiredEnvironmentSchema, type ObservedEnvironment } from '@atelier/api/atelier/runner_link';
import type { Driver } from '@atelier/driver';
import { defaultDeadlines, lintPlan } from '@atelier/reconcile';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { LocalFolders } from '../content/local-folder.ts';
import { noKeys } from '../content/ssh-keys.ts';
import { runnerIdentity } from '../identity.ts';
import { defaultPlaneLinkSettings } from '../plane-link/plane-link.ts';
import { createRunner, type Runner, type RunnerOptions, type RunnerSettings } from '../runner.ts';
import { ManualClock } from '@atelier/api/testing';
import { MemoryDisk } from './memory-storage.ts';
import { TestPlane } from './test-plane.ts';

const testIdentity = runnerIdentity(
  '0190bbbb-0000-7000-8000-000000000001',
  generateKeyPairSync('x25519').privateKey,
);

/** Settings for tests: those of real life with small limits. */
export const testSettings: RunnerSettings = {
  deadlines: defaultDeadlines,
  networkPolicy: { egress: 'internet', privateRanges: false },
  limits: { cpuWeight: 100, memoryBytesMax: 2 ** 30, processesMax: 1024 },
  throwawayLimits: { cpuWeight: 100, memoryBytesMax: 2 ** 30, processesMax: 1024 },
  home: '/home/somebody/atelier',
  link: defaultPlaneLinkSettings,
  reportIntervalMs: 200,
  garbageIntervalMs: 60_000,
  concurrency: 8,
  backoff: { initialMs: 500, maxMs: 10_000 },
};

/** Waits until everything that can go on without time has gone on. */
export type Tick = () => Promise<void>;

/** What a test may ask an environment to be. */
export interface Wish {
  readonly phase?: 'running' | 'stopped' | 'deleted';
  readonly machine?: string;
  readonly content?: string;
  readonly devcontainer?: string;
  readonly url?: string;
  readonly timeoutMs?: number;
}

const phases = {
  running: EnvironmentPhase.RUNNING,
  stopped: EnvironmentPhase.STOPPED,
  deleted: EnvironmentPhase.DELETED,
};

/** The desired state of an environment from the few things that tests vary. */
export function desiredEnvironment(
  id: string,
  wish: Wish = {},
): MessageInitShape<typeof DesiredEnvironmentSchema> {
  const { url = 'https://example.org/team/guestbook.git' } = wish;
  return {
    environment: {
      id,
      metadata: { name: 'guestbook' },
      spec: {
        specVersion: 1n,
        desiredPhase: phases[wish.phase ?? 'running'],
        machine: { session: wish.machine ?? 'm1' },
        content: {
          session: wish.content ?? 'c1',
          ...(url === ''
            ? {}
            : { initializer: { specs: [{ spec: { case: 'contextUrl', value: { url } } }] } }),
        },
        devcontainer: { session: wish.devcontainer ?? 'd1' },
        ports: [{ port: 8080, name: 'web' }],
        ...(wish.timeoutMs === undefined
          ? {}
          : { timeout: { disconnected: durationFromMs(wish.timeoutMs) } }),
      },
    },
  };
}

/** The world of one runner. */
export class RunnerWorld {
  readonly clock: ManualClock;
  readonly disk = new MemoryDisk();
  readonly plane = new TestPlane();
  readonly reports: string[] = [];
  readonly passErrors: unknown[] = [];
  /** What the linter of plans found. */
  readonly findings: string[] = [];
  readonly id: string;
  runner: Runner | undefined;
  private readonly tick: Tick;
  private readonly random: Random;

  constructor(clock: ManualClock, random: Random, tick: Tick) {
    this.clock = clock;
    this.random = random;
    this.tick = tick;
    this.id = makeId(clock.nowMs(), random);
  }

  /** Starts a runner on this disk. */
  async start(driver: Driver, more: Partial<RunnerOptions> = {}): Promise<Runner> {
    const { clock, random, disk, plane } = this;
    const localFolders: LocalFolders = { look: async (path) => ({ kind: 'folder', path, subfolder: '' }) };
    this.runner = createRunner({
      clock,
      random,
      driver,
      ledger: disk.ledger,
      records: disk.records,
      logs: disk.logs,
      localFolders,
      dial: plane.dial,
      sshKeys: noKeys,
      identity: testIdentity,
      settings: testSettings,
      capabilities: [],
      gatewayUrl: () => 'http://127.0.0.1:1',
      report: (message) => void this.reports.push(message),
      onOutcome: ({ outcome }) => {
        if (outcome.kind === 'retry') this.passErrors.push(outcome.error);
      },
      onPlan: (...plan) => void this.findings.push(...lintPlan(...plan)),
      ...more,
    });
    await this.runner.start();
    return this.runner;
  }

  /** What the plane was last told of the environment. */
  observed(id = this.id): ObservedEnvironment | undefined {
    return this.plane.observed.get(id);
  }

  /** The phase that the plane was last told. */
  phase(id = this.id): EnvironmentPhase | undefined {
    return this.observed(id)?.status?.phase;
  }

  /** Lets things go on, and time with them, until `holds` or until `withinMs` are over: then false. */
  async until(holds: () => boolean, withinMs = 600_000): Promise<boolean> {
    const endMs = this.clock.nowMs() + withinMs;
    for (;;) {
      await this.tick();
      if (holds()) return true;
      if (this.clock.step(endMs - this.clock.nowMs())) continue;
      this.clock.skipTo(endMs);
      return false;
    }
  }

  /** What the plane knows, in words, for the message of an expectation. */
  describe(): string {
    const { status } = this.observed() ?? {};
    const steps = (status?.detail?.steps ?? []).map(({ name, phase, attempt, message }) =>
      [name, phase, attempt, message].join(' '),
    );
    return [
      `plane ${JSON.stringify(this.runner?.planeState())}, ${this.plane.hellos.length} hellos`,
      `phase ${status?.phase}: ${status?.detail?.reason}`,
      ...(status?.failureMessage ?? []),
      ...(status?.warningMessage ?? []),
      ...steps,
      ...this.passErrors.map(String),
      ...this.reports,
    ].join('\n');
  }

  /** Lets that much time go by. */
  async pass(durationMs: number): Promise<void> {
    await this.until(() => false, durationMs);
  }
}
