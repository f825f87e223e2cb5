/** One execution of a task: carries out what the rules say. */
import { clone, create } from '@bufbuild/protobuf';
import {
  TaskExecutionPhase,
  TaskExecutionSpecSchema,
  TaskExecutionStatusSchema,
  type Service,
  type TaskExecution,
  type TaskExecutionStatus,
} from '@atelier/api/gitpod/environment_automation';
import {
  nextExecutionActions,
  type ExecutionAction,
  type ExecutionStep,
  type ProcessFacts,
} from '@atelier/automations';
import type { AutomationTools, ServiceRun } from './service.ts';
import { isRunning, signalStarted, startCommand, withVariables, type Started } from './started.ts';

/** An execution that is or was wanted. */
export class ExecutionRun {
  readonly #tools: AutomationTools;
  readonly #commands = new Map<string, Started>();
  readonly #requestedSessions: Record<string, string> = {};
  #wanted: TaskExecution;
  #status: TaskExecutionStatus;
  #runningSinceMs: number | undefined;

  constructor(tools: AutomationTools, wanted: TaskExecution) {
    this.#tools = tools;
    this.#wanted = wanted;
    this.#status = wanted.status
      ? clone(TaskExecutionStatusSchema, wanted.status)
      : create(TaskExecutionStatusSchema);
  }

  get status(): TaskExecutionStatus {
    return this.#status;
  }

  /** What the tasks are called that run now, and since when the execution does; undefined when it does not. */
  get work(): { readonly name: string; readonly sinceMs: number } | undefined {
    if (this.#runningSinceMs === undefined) return undefined;
    const running = this.#status.steps.filter(({ phase }) => phase === TaskExecutionPhase.RUNNING);
    const steps = this.#wanted.spec?.plan.flatMap((group) => group.steps) ?? [];
    const names = running.map(({ id }) => steps.find((step) => step.id === id)?.label || id);
    return { name: names.join(', '), sinceMs: this.#runningSinceMs };
  }

  /** Whether any of its commands runs. */
  get isAlive(): boolean {
    return [...this.#commands.values()].some((started) => isRunning(started));
  }

  /** Kills whatever of it runs. */
  kill(): void {
    for (const started of this.#commands.values()) started.command.signal('SIGKILL');
  }

  /** Takes what the runner wants now. */
  want(wanted: TaskExecution): void {
    this.#wanted = wanted;
  }

  /** It was taken out of the spec: its commands shall end. */
  wantGone(): void {
    this.#wanted = this.#stopped();
  }

  /** Does what the rules say now. Answers what they said, for the caller to look again when it is time. */
  step(services: ReadonlyMap<string, ServiceRun>, ending: boolean): ExecutionStep {
    const { clock } = this.#tools.machine;
    const processes: Record<string, ProcessFacts> = {};
    for (const [stepId, started] of this.#commands) processes[stepId] = started.facts;
    const facts = {
      status: this.#status,
      processes,
      services: this.#servicesOf(services, ending),
      requestedSessions: this.#requestedSessions,
    };
    const execution = ending ? this.#stopped() : this.#wanted;
    const step = nextExecutionActions(execution, facts, clock.nowMs());
    for (const action of step.actions) this.#perform(action, services);
    return step;
  }

  #stopped(): TaskExecution {
    const spec = clone(TaskExecutionSpecSchema, this.#wanted.spec ?? create(TaskExecutionSpecSchema));
    spec.desiredPhase = TaskExecutionPhase.STOPPED;
    return { ...this.#wanted, spec };
  }

  #servicesOf(services: ReadonlyMap<string, ServiceRun>, ending: boolean): Record<string, Service> {
    const found: Record<string, Service> = {};
    for (const { steps } of this.#wanted.spec?.plan ?? []) {
      for (const { id, step } of steps) {
        const service = step.case === 'serviceId' ? services.get(step.value) : undefined;
        if (service) found[id] = service.asWanted(ending);
      }
    }
    return found;
  }

  #perform(action: ExecutionAction, services: ReadonlyMap<string, ServiceRun>): void {
    const { machine, logs, surroundings, wake } = this.#tools;
    switch (action.kind) {
      case 'report':
        this.#status = { ...action.status, statusVersion: this.#status.statusVersion + 1n };
        if (this.#status.phase !== TaskExecutionPhase.RUNNING) this.#runningSinceMs = undefined;
        else this.#runningSinceMs ??= machine.clock.nowMs();
        return;
      case 'signal': {
        const started = this.#commands.get(action.stepId);
        if (started) signalStarted(machine, started, action.signal);
        return;
      }
      case 'startService': {
        const session = `${this.#wanted.id}/${action.stepId}`;
        this.#requestedSessions[action.stepId] = services.get(action.serviceId)?.request(session) ?? '';
        return;
      }
      case 'run': {
        const log = `task/${this.#wanted.id}/${action.stepId}`;
        const withOwn = withVariables(surroundings(), action.spec.env);
        const onOutput = (data: Buffer): void => logs.append(log, data);
        this.#commands.set(
          action.stepId,
          startCommand(machine, withOwn, action.spec.command, onOutput, wake),
        );
      }
    }
  }
}
