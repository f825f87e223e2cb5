import {
  ServicePhase,
  ServiceSchema,
  TaskExecutionPhase as Phase,
  TaskExecutionSchema,
  TaskExecutionStatusSchema,
  TaskSpecSchema,
  type Service,
  type TaskExecution,
} from '@atelier/api/gitpod/environment_automation';
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { nextExecutionActions, type ExecutionFacts } from './execution.ts';
import { planExecution } from './plan.ts';
import type { ProcessFacts } from './process.ts';

const spec = (command: string) => create(TaskSpecSchema, { command });
const tasks = [
  { id: 'install', label: 'Install', spec: spec('i'), dependsOn: [] },
  { id: 'generate', label: 'Generate', spec: spec('g'), dependsOn: [] },
  { id: 'build', label: 'Build', spec: spec('b'), dependsOn: ['install', 'generate'] },
  { id: 'test', label: 'Test', spec: spec('t'), dependsOn: ['build', 'database'] },
];
const services = [{ id: 'database', label: 'Database', dependsOn: [] }];

/** One execution and its facts, changed by hand between the passes. */
class Stage {
  nowMs = 0;
  readonly execution: TaskExecution;
  facts: ExecutionFacts;
  readonly processes: Record<string, ProcessFacts> = {};
  readonly services: Record<string, Service> = {};
  readonly requestedSessions: Record<string, string> = {};

  constructor(taskId: string) {
    const plan = planExecution(taskId, tasks, services);
    this.execution = create(TaskExecutionSchema, { spec: { plan, desiredPhase: Phase.RUNNING } });
    const status = create(TaskExecutionStatusSchema);
    this.facts = {
      status,
      processes: this.processes,
      services: this.services,
      requestedSessions: this.requestedSessions,
    };
  }

  /** Passes until nothing is left to do; the phases of all steps where they changed, and the actions. */
  settle(): string[] {
    const lines: string[] = [];
    for (let pass = 0; pass < 20; pass += 1) {
      const { actions, againAtMs } = nextExecutionActions(this.execution, this.facts, this.nowMs);
      for (const action of actions) {
        if (action.kind === 'report') {
          const { status } = action;
          this.facts = { ...this.facts, status };
          const steps = status.steps.map((step) => {
            const reason = step.failureMessage && ` (${step.failureMessage})`;
            return `${step.id} ${Phase[step.phase]}${reason}`;
          });
          const reason = status.failureMessage && ` (${status.failureMessage})`;
          lines.push(`${Phase[status.phase]}${reason}: ${steps.join(', ')}`);
        } else if (action.kind === 'run') {
          this.processes[action.stepId] = { startedAtMs: this.nowMs };
          lines.push(`run ${action.taskId}: ${action.spec.command}`);
        } else if (action.kind === 'startService') {
          this.requestedSessions[action.stepId] = this.services[action.stepId]?.spec?.session ?? '';
          lines.push(`start service ${action.serviceId}`);
        } else {
          const process = this.processes[action.stepId]!;
          if (action.signal === 'SIGTERM') process.terminatedAtMs = this.nowMs;
          else process.killedAtMs = this.nowMs;
          lines.push(`${action.signal} ${action.stepId}`);
        }
      }
      if (actions.length > 0) continue;
      if (againAtMs !== undefined) lines.push(`again at ${againAtMs}`);
      return lines;
    }
    throw new Error(`the rules never come to rest: ${lines.join('\n')}`);
  }

  end(stepId: string, code: number): void {
    this.processes[stepId]!.exit = { atMs: this.nowMs, code };
  }

  service(phase: ServicePhase, desiredPhase: ServicePhase, sessions: [wanted: string, begun: string]): void {
    this.services['database'] = create(ServiceSchema, {
      spec: { desiredPhase, session: sessions[0] },
      status: { phase, session: sessions[1], failureMessage: phase === ServicePhase.FAILED ? 'boom' : '' },
    });
  }
}

test('steps run in parallel, each as soon as what it depends on has succeeded', () => {
  const stage = new Stage('build');
  expect(stage.settle()).toEqual([
    'RUNNING: generate RUNNING, install RUNNING, build PENDING',
    'run generate: g',
    'run install: i',
  ]);
  stage.end('install', 0);
  expect(stage.settle()).toEqual(['RUNNING: generate RUNNING, install SUCCEEDED, build PENDING']);
  stage.end('generate', 0);
  expect(stage.settle()).toEqual([
    'RUNNING: generate SUCCEEDED, install SUCCEEDED, build RUNNING',
    'run build: b',
  ]);
  stage.end('build', 0);
  expect(stage.settle()).toEqual(['SUCCEEDED: generate SUCCEEDED, install SUCCEEDED, build SUCCEEDED']);
  expect(stage.settle()).toEqual([]);
});

test('a failed step cancels what depends on it, and nothing else', () => {
  const stage = new Stage('build');
  stage.settle();
  stage.end('install', 2);
  expect(stage.settle()).toEqual([
    'RUNNING: generate RUNNING, install FAILED (its command exited with code 2), build STOPPED (depends on Install, which failed)',
  ]);
  stage.end('generate', 0);
  expect(stage.settle()).toEqual([
    'FAILED (Install: its command exited with code 2): generate SUCCEEDED, install FAILED (its command exited with code 2), build STOPPED (depends on Install, which failed)',
  ]);
});

test('stop: SIGTERM, and what ends by it is STOPPED', () => {
  const stage = new Stage('install');
  stage.settle();
  stage.nowMs = 500;
  stage.execution.spec!.desiredPhase = Phase.STOPPED;
  expect(stage.settle()).toEqual(['SIGTERM install', 'again at 10500']);
  stage.nowMs = 900;
  stage.end('install', 143);
  expect(stage.settle()).toEqual(['STOPPED: install STOPPED']);
});

test('stop: SIGKILL after ten seconds is FAILED; steps that have not begun are STOPPED', () => {
  const stage = new Stage('build');
  stage.settle();
  stage.end('generate', 0);
  stage.settle();
  stage.nowMs = 500;
  stage.execution.spec!.desiredPhase = Phase.STOPPED;
  expect(stage.settle()).toEqual([
    'RUNNING: generate SUCCEEDED, install RUNNING, build STOPPED',
    'SIGTERM install',
    'again at 10500',
  ]);
  stage.nowMs = 10_499;
  expect(stage.settle()).toEqual(['again at 10500']);
  stage.nowMs = 10_500;
  expect(stage.settle()).toEqual(['SIGKILL install']);
  stage.processes['install']!.exit = { atMs: 10_501, signal: 'SIGKILL' };
  expect(stage.settle()).toEqual([
    'FAILED (Install: its command did not end within 10 s of SIGTERM and was killed): generate SUCCEEDED, install FAILED (its command did not end within 10 s of SIGTERM and was killed), build STOPPED',
  ]);
});

test('stopped before anything began', () => {
  const stage = new Stage('build');
  stage.execution.spec!.desiredPhase = Phase.STOPPED;
  expect(stage.settle()).toEqual(['STOPPED: generate STOPPED, install STOPPED, build STOPPED']);
});

test('a command that is gone with its environment failed', () => {
  const stage = new Stage('install');
  stage.settle();
  delete stage.processes['install'];
  expect(stage.settle()).toEqual([
    'FAILED (Install: its command was lost when the environment stopped): install FAILED (its command was lost when the environment stopped)',
  ]);
});

function atTheService(): Stage {
  const stage = new Stage('test');
  stage.service(ServicePhase.STOPPED, ServicePhase.STOPPED, ['', '']);
  return stage;
}

test('a service that does not run is started once, and the step succeeds when it runs', () => {
  const stage = atTheService();
  expect(stage.settle()).toContain('start service database');
  expect(stage.settle()).toEqual([]);
  stage.service(ServicePhase.STOPPED, ServicePhase.RUNNING, ['s1', '']);
  expect(stage.settle()).toEqual([]);
  stage.service(ServicePhase.STARTING, ServicePhase.RUNNING, ['s1', 's1']);
  expect(stage.settle()).toEqual([]);
  stage.service(ServicePhase.RUNNING, ServicePhase.RUNNING, ['s1', 's1']);
  expect(stage.settle()[0]).toContain('database SUCCEEDED');
});

test('a service that runs already is not started again', () => {
  const stage = atTheService();
  stage.service(ServicePhase.RUNNING, ServicePhase.RUNNING, ['s1', 's1']);
  const lines = stage.settle();
  expect(lines).not.toContain('start service database');
  expect(lines[0]).toContain('database SUCCEEDED');
});

test('a service that fails fails its step and cancels the task', () => {
  const stage = atTheService();
  stage.settle();
  stage.service(ServicePhase.FAILED, ServicePhase.RUNNING, ['s1', 's1']);
  expect(stage.settle()[0]).toContain('database FAILED (the service failed before it was ready: boom)');
  const cancelled = stage.facts.status.steps.find((step) => step.id === 'test');
  expect(cancelled).toMatchObject({
    phase: Phase.STOPPED,
    failureMessage: 'depends on Database, which failed',
  });
  for (const id of ['install', 'generate']) stage.end(id, 0);
  stage.settle();
  stage.end('build', 0);
  expect(stage.settle()).toEqual([
    expect.stringMatching(
      /^FAILED \(Database: the service failed before it was ready: boom\): .*test STOPPED \(depends on Database, which failed\)$/,
    ),
  ]);
});

test('a service that failed earlier gets one more chance in a new execution', () => {
  const stage = atTheService();
  stage.service(ServicePhase.FAILED, ServicePhase.RUNNING, ['s1', 's1']);
  expect(stage.settle()).toContain('start service database');
  expect(stage.settle()).toEqual([]);
  stage.service(ServicePhase.FAILED, ServicePhase.RUNNING, ['s2', 's2']);
  expect(stage.settle()[0]).toContain('database FAILED');
});

test('a service that fails while its start by somebody else is waited for is not started again', () => {
  const stage = atTheService();
  stage.service(ServicePhase.STARTING, ServicePhase.RUNNING, ['s1', 's1']);
  expect(stage.settle()).not.toContain('start service database');
  stage.service(ServicePhase.FAILED, ServicePhase.RUNNING, ['s1', 's1']);
  const lines = stage.settle();
  expect(lines[0]).toContain('database FAILED');
  expect(lines).not.toContain('start service database');
});

test('stop leaves services as they are', () => {
  const stage = atTheService();
  stage.settle();
  stage.execution.spec!.desiredPhase = Phase.STOPPED;
  const lines = stage.settle();
  expect(lines[0]).toContain('database STOPPED');
  expect(lines.filter((line) => line.includes('SIG'))).toEqual(['SIGTERM generate', 'SIGTERM install']);
});
