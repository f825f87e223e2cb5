/** All tasks and services of an environment: looks at each whenever something changed, until nothing changes. */
import type { Timer } from '@atelier/api';
import { ActivityKind, type ActivityEntry } from '@atelier/api/atelier/environment_detail';
import {
  ExecutionReportSchema,
  ServiceReportSchema,
  type ExecutionReport,
  type ServiceReport,
} from '@atelier/api/atelier/supervisor';
import type { Service, TaskExecution } from '@atelier/api/gitpod/environment_automation';
import { create } from '@bufbuild/protobuf';
import { goingOn } from '../activity.ts';
import type { CommandSurroundings } from '../lifecycle.ts';
import type { Logs } from '../logs.ts';
import type { Machine } from '../machine.ts';
import { Signal } from '../output.ts';
import { ExecutionRun } from './execution.ts';
import { ServiceRun, type AutomationTools } from './service.ts';

/** Rounds of one look: what depends on each other settles in a few; more would be a rule that never rests. */
const roundsMax = 50;

/** Drives tasks and services as the latest spec wants them. */
export class Automations {
  readonly #tools: AutomationTools;
  readonly #onChange: () => void;
  readonly #changed = new Signal();
  readonly #services = new Map<string, ServiceRun>();
  readonly #executions = new Map<string, ExecutionRun>();
  #wantedServices = new Map<string, Service>();
  #wantedExecutions = new Map<string, TaskExecution>();
  #surroundings: CommandSurroundings = { user: '', workingDirectory: '/', environment: {} };
  #timer: Timer | undefined;
  #looking = false;
  #again = false;
  #ending = false;

  /** `onChange` is called when a report answers something else than before. */
  constructor(machine: Machine, logs: Logs, onChange: () => void) {
    this.#tools = { machine, logs, surroundings: () => this.#surroundings, wake: () => this.#look() };
    this.#onChange = onChange;
  }

  /** Takes what is wanted. What is no longer named ends and is then forgotten. */
  apply(
    services: readonly Service[],
    executions: readonly TaskExecution[],
    surroundings: CommandSurroundings,
  ): void {
    this.#surroundings = surroundings;
    this.#wantedServices = new Map(services.map((service) => [service.id, service]));
    this.#wantedExecutions = new Map(executions.map((execution) => [execution.id, execution]));
    for (const [id, service] of this.#wantedServices) {
      const known = this.#services.get(id);
      if (known) known.want(service);
      else this.#services.set(id, new ServiceRun(this.#tools, service));
    }
    for (const [id, execution] of this.#wantedExecutions) {
      const known = this.#executions.get(id);
      if (known) known.want(execution);
      else this.#executions.set(id, new ExecutionRun(this.#tools, execution));
    }
    for (const [id, run] of this.#services) if (!this.#wantedServices.has(id)) run.wantGone();
    for (const [id, run] of this.#executions) if (!this.#wantedExecutions.has(id)) run.wantGone();
    this.#look();
  }

  /** The services of the spec, as they are. */
  serviceReports(): ServiceReport[] {
    return [...this.#services]
      .filter(([id]) => this.#wantedServices.has(id))
      .map(([serviceId, { status }]) => create(ServiceReportSchema, { serviceId, status }));
  }

  /** The executions of the spec, as they are. */
  executionReports(): ExecutionReport[] {
    return [...this.#executions]
      .filter(([id]) => this.#wantedExecutions.has(id))
      .map(([executionId, { status }]) => create(ExecutionReportSchema, { executionId, status }));
  }

  /** Executions that run now. */
  work(): ActivityEntry[] {
    return [...this.#executions.values()].flatMap(({ work }) =>
      work ? [goingOn(ActivityKind.TASK, work.name, work.sinceMs)] : [],
    );
  }

  /** Ends everything by its rules and starts nothing more. Returns when nothing runs; kills when `signal` is aborted. */
  async end(signal: AbortSignal): Promise<void> {
    this.#ending = true;
    this.#look();
    while (!signal.aborted && this.#isAlive()) await this.#changed.wait(signal);
    for (const run of [...this.#services.values(), ...this.#executions.values()]) run.kill();
  }

  #isAlive(): boolean {
    return [...this.#services.values(), ...this.#executions.values()].some((run) => run.isAlive);
  }

  #look(): void {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    this.#timer?.cancel();
    let acted = false;
    let againAtMs = Infinity;
    for (let round = 0; round < roundsMax; round += 1) {
      this.#again = false;
      const { actions, againAtMs: nextMs } = this.#round();
      againAtMs = nextMs;
      acted ||= actions > 0;
      if (actions === 0 && !this.#again) break;
    }
    this.#looking = false;
    this.#forget();
    if (Number.isFinite(againAtMs)) {
      const afterMs = Math.max(1, againAtMs - this.#tools.machine.clock.nowMs());
      this.#timer = this.#tools.machine.clock.timer(afterMs, () => this.#look());
    }
    if (acted) this.#onChange();
    this.#changed.notify();
  }

  #round(): { actions: number; againAtMs: number } {
    let actions = 0;
    let againAtMs = Infinity;
    for (const [id, run] of this.#services) {
      const step = run.step(this.#dependenciesOf(id), this.#ending);
      actions += step.actions.length;
      againAtMs = Math.min(againAtMs, step.againAtMs ?? Infinity);
    }
    for (const run of this.#executions.values()) {
      const step = run.step(this.#services, this.#ending);
      actions += step.actions.length;
      againAtMs = Math.min(againAtMs, step.againAtMs ?? Infinity);
    }
    return { actions, againAtMs };
  }

  #dependenciesOf(id: string): Service[] {
    const names = new Set(this.#wantedServices.get(id)?.metadata?.dependencies?.dependsOn);
    if (names.size === 0) return [];
    return [...this.#services.values()]
      .map((run) => run.asWanted(this.#ending))
      .filter((service) => names.has(service.metadata?.reference ?? ''));
  }

  #forget(): void {
    for (const [id, run] of this.#services) {
      if (!this.#wantedServices.has(id) && !run.isAlive) this.#services.delete(id);
    }
    for (const [id, run] of this.#executions) {
      if (!this.#wantedExecutions.has(id) && !run.isAlive) this.#executions.delete(id);
    }
  }
}
