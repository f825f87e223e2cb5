/** Services and executions of a simulated supervisor: what is desired becomes so after the configured times. */
import {
  ActivityEntrySchema,
  ActivityKind,
  type ActivityEntry,
} from '@atelier/api/atelier/environment_detail';
import {
  ExecutionReportSchema,
  ServiceReportSchema,
  type ExecutionReport,
  type ServiceReport,
} from '@atelier/api/atelier/supervisor';
import {
  ServicePhase,
  ServiceStatusSchema,
  TaskExecutionPhase,
  TaskExecutionStatusSchema,
  type Service,
  type ServiceStatus,
  type TaskExecution,
  type TaskExecutionStatus,
} from '@atelier/api/gitpod/environment_automation';
import { clone, create } from '@bufbuild/protobuf';
import type { Surroundings } from './surroundings.ts';
import type { InstanceTimers } from './timers.ts';

/** Told after each change; with a log and a text when something was printed. */
export type OnAutomationChange = (log?: string, text?: string) => void;

/** The automations of one run of PID 1. */
export class SimulatedAutomations {
  readonly #machine: Surroundings;
  readonly #timers: InstanceTimers;
  readonly #onChange: OnAutomationChange;
  readonly #services = new Map<string, ServiceStatus>();
  readonly #executions = new Map<string, TaskExecutionStatus>();
  #stopped = false;

  constructor(machine: Surroundings, timers: InstanceTimers, onChange: OnAutomationChange) {
    this.#machine = machine;
    this.#timers = timers;
    this.#onChange = onChange;
  }

  /** Takes the wishes of a spec; what is no longer named is stopped and forgotten. */
  apply(services: readonly Service[], executions: readonly TaskExecution[]): void {
    if (this.#stopped) return;
    for (const service of services) this.#applyService(service);
    for (const execution of executions) this.#applyExecution(execution);
    forgetOthers(this.#services, services);
    forgetOthers(this.#executions, executions);
  }

  /** Reports of all services. */
  services(): ServiceReport[] {
    return [...this.#services].map(([serviceId, status]) =>
      create(ServiceReportSchema, { serviceId, status: clone(ServiceStatusSchema, status) }),
    );
  }

  /** Reports of all executions. */
  executions(): ExecutionReport[] {
    return [...this.#executions].map(([executionId, status]) =>
      create(ExecutionReportSchema, { executionId, status: clone(TaskExecutionStatusSchema, status) }),
    );
  }

  /** Executions that have not ended. */
  work(): ActivityEntry[] {
    return [...this.#executions]
      .filter(([, { phase }]) => phase === TaskExecutionPhase.RUNNING)
      .map(([name]) => create(ActivityEntrySchema, { kind: ActivityKind.TASK, name }));
  }

  /** Ends everything, for the shutdown. */
  stopAll(): void {
    this.#stopped = true;
    for (const status of this.#services.values()) status.phase = ServicePhase.STOPPED;
    for (const status of this.#executions.values()) {
      if (status.phase === TaskExecutionPhase.RUNNING) status.phase = TaskExecutionPhase.STOPPED;
    }
    this.#onChange();
  }

  #applyService(service: Service): void {
    const { behaviour } = this.#machine;
    const wanted = service.spec?.desiredPhase === ServicePhase.RUNNING;
    const session = service.spec?.session ?? '';
    const before = this.#services.get(service.id);
    const runs = before?.phase === ServicePhase.STARTING || before?.phase === ServicePhase.RUNNING;
    if (before !== undefined && wanted === runs && before.session === session) return;
    const status = create(ServiceStatusSchema, {
      session,
      phase: wanted ? ServicePhase.STARTING : ServicePhase.STOPPING,
    });
    if (before === undefined && !wanted) status.phase = ServicePhase.STOPPED;
    this.#services.set(service.id, status);
    this.#timers.after(wanted ? behaviour.serviceReadyMs : behaviour.serviceStopMs, () => {
      if (this.#services.get(service.id) !== status || this.#stopped) return;
      status.phase = wanted ? ServicePhase.RUNNING : ServicePhase.STOPPED;
      this.#onChange(`service/${service.id}`, wanted ? 'ready\n' : 'stopped\n');
    });
  }

  #applyExecution(execution: TaskExecution): void {
    const before = this.#executions.get(execution.id);
    if (execution.spec?.desiredPhase === TaskExecutionPhase.STOPPED) {
      if (before === undefined || before.phase === TaskExecutionPhase.RUNNING) {
        this.#setExecution(execution, TaskExecutionPhase.STOPPED);
      }
      return;
    }
    if (before !== undefined) return;
    const status = this.#setExecution(execution, TaskExecutionPhase.RUNNING);
    this.#timers.after(this.#machine.behaviour.executionMs, () => {
      if (this.#executions.get(execution.id) !== status || this.#stopped) return;
      const exitCode = this.#machine.behaviour.executionExitCode(execution.id, this.#machine.random);
      const succeeded = exitCode === 0;
      this.#setExecution(execution, succeeded ? TaskExecutionPhase.SUCCEEDED : TaskExecutionPhase.FAILED);
      for (const { id } of status.steps)
        this.#onChange(`task/${execution.id}/${id}`, `ended with ${exitCode}\n`);
    });
  }

  #setExecution(execution: TaskExecution, executionPhase: TaskExecutionPhase): TaskExecutionStatus {
    const failureMessage = executionPhase === TaskExecutionPhase.FAILED ? 'A step of the task failed.' : '';
    const steps = (execution.spec?.plan ?? []).flatMap((group) => group.steps);
    const status = create(TaskExecutionStatusSchema, {
      phase: executionPhase,
      failureMessage,
      steps: steps.map(({ id }) => ({ id, phase: executionPhase, failureMessage })),
    });
    this.#executions.set(execution.id, status);
    this.#onChange();
    return status;
  }
}

function forgetOthers(known: Map<string, unknown>, wanted: readonly { readonly id: string }[]): void {
  const ids = new Set(wanted.map(({ id }) => id));
  for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
}
