/** A runner without any machine: it says what a test wants, or moves environments through their phases by itself. */
import { runnerProtocolVersion } from '@atelier/api';
import {
  SyncRequestSchema,
  type DesiredChange,
  type DesiredEnvironment,
  type ObservedEnvironmentSchema,
  type RunnerHelloSchema,
  type SyncRequest,
  type SyncResponse,
} from '@atelier/api/atelier/runner_link';
import {
  EnvironmentPhase,
  EnvironmentStatus_ContentPhase as ContentPhase,
  EnvironmentStatus_DevContainer_Phase as DevContainerPhase,
  EnvironmentStatus_Machine_Phase as MachinePhase,
  EnvironmentStatusSchema,
  type EnvironmentStatus,
} from '@atelier/api/gitpod/environment';
import { ServicePhase, TaskExecutionPhase } from '@atelier/api/gitpod/environment_automation';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { AsyncQueue } from '../queue.ts';

/** Opens one connection, in this process or over a port. */
export type Dial = (requests: AsyncIterable<SyncRequest>, signal: AbortSignal) => AsyncIterable<SyncResponse>;

/** One connection of a runner. */
export class FakeRunner {
  readonly requests = new AsyncQueue<SyncRequest>();
  readonly responses: SyncResponse[] = [];
  readonly desired = new Map<string, DesiredEnvironment>();
  /** Resolves with the error that ended the connection, or undefined. */
  readonly ended: Promise<unknown>;
  epoch = 0n;
  readonly #abort = new AbortController();
  readonly #moves: boolean;
  readonly #reached = new Map<string, EnvironmentPhase>();

  constructor(
    dial: Dial,
    hello: MessageInitShape<typeof RunnerHelloSchema>,
    options: { moves?: boolean } = {},
  ) {
    this.#moves = options.moves ?? false;
    this.send({ case: 'hello', value: { protocolVersion: runnerProtocolVersion, ...hello } });
    this.ended = this.#read(dial).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  send(message: MessageInitShape<typeof SyncRequestSchema>['message']): void {
    this.requests.push(create(SyncRequestSchema, { message } as never));
  }

  /** Reports one environment. */
  report(environmentId: string, observed: Partial<MessageInitShape<typeof ObservedEnvironmentSchema>>): void {
    this.send({ case: 'observed', value: { environmentId, leaseEpoch: this.epoch, ...observed } } as never);
  }

  /** The changes of the desired set that came so far. */
  changes(): DesiredChange[] {
    return this.responses.flatMap(({ message }) => (message.case === 'desired' ? [message.value] : []));
  }

  /** Hangs up and waits for the plane's end. */
  async close(): Promise<void> {
    this.requests.end();
    this.#abort.abort();
    await this.ended;
  }

  async #read(dial: Dial): Promise<void> {
    for await (const response of dial(this.requests, this.#abort.signal)) {
      this.responses.push(response);
      const { message } = response;
      if (message.case === 'welcome') this.epoch = message.value.leaseEpoch;
      if (message.case !== 'desired') continue;
      for (const id of message.value.forgottenIds) this.desired.delete(id);
      for (const each of message.value.environments) {
        const id = each.environment?.id ?? '';
        this.desired.set(id, each);
        if (this.#moves) this.#move(id, each);
      }
      this.send({ case: 'acknowledgement', value: { revision: message.value.revision } });
    }
  }

  /** Reports every phase on the way to the desired one, at once. */
  #move(id: string, desired: DesiredEnvironment): void {
    const wished = desired.environment?.spec?.desiredPhase ?? EnvironmentPhase.UNSPECIFIED;
    const running = runningStatus(id, desired);
    const { services, executions } = automationsOf(desired, wished === EnvironmentPhase.RUNNING);
    const before = this.#reached.get(id);
    this.#reached.set(id, wished);
    if (before === wished)
      return this.report(id, { status: this.#final(wished, running, id), services, executions });
    if (wished === EnvironmentPhase.RUNNING) {
      for (const phase of [MachinePhase.CREATING, MachinePhase.STARTING])
        this.report(id, { status: statusOf(phase, id) });
    } else if (wished === EnvironmentPhase.STOPPED) {
      this.report(id, { status: statusOf(MachinePhase.STOPPING, id) });
    } else {
      this.report(id, { status: statusOf(MachinePhase.DELETING, id) });
      return this.report(id, { gone: true });
    }
    this.report(id, { status: this.#final(wished, running, id), services, executions });
  }

  #final(wished: EnvironmentPhase, running: EnvironmentStatus, id: string): EnvironmentStatus {
    return wished === EnvironmentPhase.RUNNING ? running : statusOf(MachinePhase.STOPPED, id);
  }
}

/** The status of an environment whose machine is in this phase; one that runs has a boot. */
export function statusOf(phase: MachinePhase, boot = 'boot'): EnvironmentStatus {
  const detail = phase === MachinePhase.RUNNING ? { boot } : {};
  return create(EnvironmentStatusSchema, { machine: { phase }, detail });
}

/** A status of which the phase RUNNING follows, with the sessions that are desired. */
export function runningStatus(boot = 'boot', desired?: DesiredEnvironment): EnvironmentStatus {
  const { content, devcontainer } = desired?.environment?.spec ?? {};
  return create(EnvironmentStatusSchema, {
    machine: { phase: MachinePhase.RUNNING },
    detail: { boot },
    content: { phase: ContentPhase.READY, session: content?.session ?? '' },
    devcontainer: { phase: DevContainerPhase.RUNNING, session: devcontainer?.session ?? '' },
  });
}

function automationsOf({ services, executions }: DesiredEnvironment, isUp: boolean) {
  const logUrl = 'http://127.0.0.1:9/log';
  return {
    services: services.map(({ id, spec }) => {
      const runs = isUp && spec?.desiredPhase === ServicePhase.RUNNING;
      const phase = runs ? ServicePhase.RUNNING : ServicePhase.STOPPED;
      return { serviceId: id, status: { phase, session: spec?.session ?? '', logUrl } };
    }),
    executions: executions.map(({ id }) => ({
      executionId: id,
      status: { phase: TaskExecutionPhase.SUCCEEDED, logUrl },
    })),
  };
}
