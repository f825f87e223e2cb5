/** The other end of the runner protocol, as far as tests of the runner need one. */
import { AtelierError, runnerProtocolVersion } from '@atelier/api';
import {
  DesiredChangeSchema,
  DesiredEnvironmentSchema,
  SyncResponseSchema,
  type DesiredEnvironment,
  type ObservedEnvironment,
  type RunnerHello,
  type SyncRequest,
  type SyncResponse,
} from '@atelier/api/atelier/runner_link';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { Dial } from '../plane-link/plane-link.ts';

/** A plane with one desired set; everything that a runner sends is kept. */
export class TestPlane {
  planeId = '0190aaaa-0000-7000-8000-000000000001';
  leaseEpoch = 1n;
  local = true;
  softwareVersion = 'test';
  /** The one version of the protocol that it takes; undefined for the rule. */
  onlyProtocolVersion: number | undefined;
  /** While false, dialling fails. */
  reachable = true;
  /** Whether the plane says heartbeats and desired state after its welcome. */
  talks = true;
  revision = 0n;
  readonly desired = new Map<string, DesiredEnvironment>();
  readonly forgotten = new Set<string>();
  readonly observed = new Map<string, ObservedEnvironment>();
  readonly hellos: RunnerHello[] = [];
  /** What went wrong with the requests of a runner. */
  readonly errors: unknown[] = [];
  acknowledged = 0n;
  observedCount = 0;
  private connection: { send: (response: SyncResponse) => void; end: () => void } | undefined;

  /** Sets what is wished for one environment and tells it. */
  wish(environment: MessageInitShape<typeof DesiredEnvironmentSchema>): void {
    const desired = create(DesiredEnvironmentSchema, environment);
    this.desired.set(desired.environment?.id ?? '', desired);
    this.revision += 1n;
    this.connection?.send(this.change(false, [desired]));
  }

  /** Tells the whole set again. */
  tellAll(): void {
    this.revision += 1n;
    this.connection?.send(this.change(true, [...this.desired.values()]));
  }

  /** Forgets an environment that was seen deleted. */
  forget(environmentId: string): void {
    this.desired.delete(environmentId);
    this.forgotten.add(environmentId);
    this.revision += 1n;
    this.connection?.send(this.change(false, []));
  }

  /** Ends the connection and answers no more until it is made reachable. */
  goAway(): void {
    this.reachable = false;
    this.connection?.end();
  }

  readonly dial: Dial = (requests, signal) => this.serve(requests, signal);

  private change(whole: boolean, environments: DesiredEnvironment[]): SyncResponse {
    return create(SyncResponseSchema, {
      message: {
        case: 'desired',
        value: create(DesiredChangeSchema, {
          revision: this.revision,
          whole,
          environments,
          forgottenIds: [...this.forgotten],
        }),
      },
    });
  }

  private async *serve(
    requests: AsyncIterable<SyncRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<SyncResponse> {
    if (!this.reachable || signal.aborted) throw new AtelierError('unavailable', 'The plane is away.');
    const queue: SyncResponse[] = [];
    let wake = (): void => undefined;
    const ended = new AbortController();
    const end = (): void => {
      ended.abort();
      wake();
    };
    signal.addEventListener('abort', end, { once: true });
    const send = (response: SyncResponse): void => {
      queue.push(response);
      wake();
    };
    let refusal: unknown;
    void this.listen(requests, { send, end }).catch((error: unknown) => {
      if (error instanceof AtelierError && error.code === 'failed_precondition') refusal = error;
      else this.errors.push(error);
      end();
    });
    while (!ended.signal.aborted) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    if (refusal !== undefined) throw refusal;
  }

  private async listen(
    requests: AsyncIterable<SyncRequest>,
    connection: { send: (response: SyncResponse) => void; end: () => void },
  ): Promise<void> {
    for await (const { message } of requests) {
      if (message.case === 'hello') this.welcome(message.value, connection);
      if (message.case === 'acknowledgement') this.acknowledged = message.value.revision;
      if (message.case === 'observed') {
        this.observed.set(message.value.environmentId, message.value);
        this.observedCount += 1;
      }
      if (message.case === 'heartbeat' && this.talks) {
        connection.send(create(SyncResponseSchema, { message: { case: 'heartbeat', value: {} } }));
      }
    }
  }

  private welcome(
    hello: RunnerHello,
    connection: { send: (response: SyncResponse) => void; end: () => void },
  ): void {
    this.hellos.push(hello);
    if (this.onlyProtocolVersion !== undefined && hello.protocolVersion !== this.onlyProtocolVersion)
      throw new AtelierError('failed_precondition', 'Update the older of the two.');
    this.connection = connection;
    connection.send(
      create(SyncResponseSchema, {
        message: {
          case: 'welcome',
          value: {
            protocolVersion: this.onlyProtocolVersion ?? runnerProtocolVersion,
            softwareVersion: this.softwareVersion,
            planeId: this.planeId,
            leaseEpoch: this.leaseEpoch,
            lease: durationFromMs(60_000),
            local: this.local,
          },
        },
      }),
    );
    if (!this.talks) return;
    const isNew = hello.acknowledgedRevision === 0n;
    if (isNew || hello.acknowledgedRevision < this.revision) {
      connection.send(this.change(isNew, [...this.desired.values()]));
    }
  }
}
