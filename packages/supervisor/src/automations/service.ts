/** One service: carries out what the rules say. */
import { clone, create } from '@bufbuild/protobuf';
import {
  ServicePhase,
  ServiceSpecSchema,
  ServiceStatusSchema,
  type Service,
  type ServiceStatus,
} from '@atelier/api/gitpod/environment_automation';
import {
  nextServiceActions,
  type ServiceAction,
  type ServiceFacts,
  type ServiceStep,
} from '@atelier/automations';
import type { CommandSurroundings } from '../lifecycle.ts';
import type { Logs } from '../logs.ts';
import type { Machine } from '../machine.ts';
import { isRunning, signalStarted, startCommand, withVariables, type Started } from './started.ts';

/** What automations are carried out with. */
export interface AutomationTools {
  readonly machine: Machine;
  readonly logs: Logs;
  surroundings(): CommandSurroundings;
  /** Something ended: look again. */
  wake(): void;
}

/** A service that is or was wanted. */
export class ServiceRun {
  readonly #tools: AutomationTools;
  readonly #commands: { start?: Started; ready?: Started; stop?: Started } = {};
  #wanted: Service;
  /** A session that a task asked for; it counts until the runner wants something new. */
  #requested: { readonly session: string; readonly instead: string } | undefined;
  #status: ServiceStatus;

  constructor(tools: AutomationTools, wanted: Service) {
    this.#tools = tools;
    this.#wanted = wanted;
    this.#status = wanted.status ? clone(ServiceStatusSchema, wanted.status) : create(ServiceStatusSchema);
  }

  get status(): ServiceStatus {
    return this.#status;
  }

  /** Whether anything of it still runs. */
  get isAlive(): boolean {
    return Object.values(this.#commands).some((started) => isRunning(started));
  }

  /** Kills whatever of it runs. */
  kill(): void {
    for (const started of Object.values(this.#commands)) started?.command.signal('SIGKILL');
  }

  /** Takes what the runner wants now. */
  want(wanted: Service): void {
    this.#wanted = wanted;
    if (this.#requested?.instead !== wishOf(wanted)) this.#requested = undefined;
  }

  /** It was taken out of the spec: it shall end for good. */
  wantGone(): void {
    const spec = clone(ServiceSpecSchema, this.#wanted.spec ?? create(ServiceSpecSchema));
    spec.desiredPhase = ServicePhase.DELETED;
    this.want({ ...this.#wanted, spec });
  }

  /** Asks for a new session, desired RUNNING. Answers the session that is wanted until now. */
  request(session: string): string {
    const before = this.asWanted(false).spec?.session ?? '';
    this.#requested = { session, instead: wishOf(this.#wanted) };
    return before;
  }

  /** The service as the rules see it; when everything ends nothing is wanted to run. */
  asWanted(ending: boolean): Service {
    const spec = clone(ServiceSpecSchema, this.#wanted.spec ?? create(ServiceSpecSchema));
    if (this.#requested) {
      spec.session = this.#requested.session;
      spec.desiredPhase = ServicePhase.RUNNING;
    }
    if (ending && spec.desiredPhase === ServicePhase.RUNNING) spec.desiredPhase = ServicePhase.STOPPED;
    return { ...this.#wanted, spec, status: this.#status };
  }

  /** Does what the rules say now. Answers what they said, for the caller to look again when it is time. */
  step(dependencies: readonly Service[], ending: boolean): ServiceStep {
    const facts: ServiceFacts = { status: this.#status, dependencies };
    for (const name of ['start', 'ready', 'stop'] as const) {
      const started = this.#commands[name];
      if (started) facts[name] = started.facts;
    }
    const step = nextServiceActions(this.asWanted(ending), facts, this.#tools.machine.clock.nowMs());
    for (const action of step.actions) this.#perform(action);
    return step;
  }

  #perform(action: ServiceAction): void {
    switch (action.kind) {
      case 'report':
        this.#status = { ...action.status, statusVersion: this.#status.statusVersion + 1n };
        return;
      case 'signal': {
        const started = this.#commands[action.target];
        if (started) signalStarted(this.#tools.machine, started, action.signal);
        return;
      }
      case 'start':
        delete this.#commands.ready;
        delete this.#commands.stop;
        break;
      case 'ready':
      case 'stop':
    }
    this.#commands[action.kind] = this.#start(action.kind, action.command);
  }

  #start(kind: 'start' | 'ready' | 'stop', text: string): Started {
    const { machine, logs, surroundings, wake } = this.#tools;
    const withOwn = withVariables(surroundings(), this.#wanted.spec?.env ?? []);
    const log = `service/${this.#wanted.id}`;
    // What a check says each second would push the service's own words out of the log.
    const onOutput = kind === 'ready' ? () => {} : (data: Buffer) => logs.append(log, data);
    return startCommand(machine, withOwn, text, onOutput, wake);
  }
}

function wishOf({ spec }: Service): string {
  return `${spec?.specVersion ?? 0n}/${spec?.desiredPhase ?? 0}/${spec?.session ?? ''}`;
}
