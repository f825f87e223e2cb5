/**
 * What is to be told to the plane: the newest state of each environment and nothing older, so that the
 * queue is never longer than the number of environments, however slow the plane is.
 */
import type { Clock, Timer } from '@atelier/api';
import {
  ObservedEnvironmentSchema,
  SyncRequestSchema,
  type ObservedEnvironment,
  type SyncRequest,
} from '@atelier/api/atelier/runner_link';
import { create, equals } from '@bufbuild/protobuf';

/** The states that wait to be sent, over all connections. */
export interface Outbox {
  /** Replaces what is known of the environment; an equal state is not sent again. */
  put(observed: ObservedEnvironment): void;
  /** What is known of the environment; undefined when nothing is. */
  get(environmentId: string): ObservedEnvironment | undefined;
  /** Nothing is to be said about the environment any more. */
  forget(environmentId: string): void;
  /**
   * The requests of one connection: `hello`, then everything that is known once `open` was called, then
   * changes, with what `control` is given always first. Ends when the signal is aborted.
   */
  connection(hello: SyncRequest, leaseEpoch: () => bigint, signal: AbortSignal): OutboxConnection;
}

/** The outgoing half of one connection. */
export interface OutboxConnection {
  readonly requests: AsyncIterable<SyncRequest>;
  /** Sends an acknowledgement or a heartbeat before any state. */
  control(request: SyncRequest): void;
  /** The plane has welcomed us: from now on states are sent, all of them at first. */
  open(): void;
}

/** How many states of one environment may be sent at once, so that the end of a quick start is not held back. */
const burstCount = 16;

/** An outbox that sends each environment once per `intervalMs` on average. */
export function createOutbox(clock: Clock, intervalMs: number): Outbox {
  const known = new Map<string, ObservedEnvironment>();
  const connections = new Set<Connection>();
  return {
    put(observed) {
      const before = known.get(observed.environmentId);
      if (before !== undefined && equals(ObservedEnvironmentSchema, before, observed)) return;
      known.set(observed.environmentId, observed);
      for (const connection of connections) connection.changed(observed.environmentId);
    },
    get: (environmentId) => known.get(environmentId),
    forget(environmentId) {
      known.delete(environmentId);
      for (const connection of connections) connection.forget(environmentId);
    },
    connection(hello, leaseEpoch, signal) {
      const connection = new Connection(clock, intervalMs, known, hello, leaseEpoch, signal);
      connections.add(connection);
      signal.addEventListener('abort', () => connections.delete(connection), { once: true });
      return connection;
    },
  };
}

class Connection implements OutboxConnection {
  readonly requests: AsyncIterable<SyncRequest>;
  private readonly first: SyncRequest[];
  private readonly waiting = new Set<string>();
  /** When the states sent so far would have been sent at an even pace. */
  private readonly pacedMs = new Map<string, number>();
  private readonly clock: Clock;
  private readonly intervalMs: number;
  private readonly known: ReadonlyMap<string, ObservedEnvironment>;
  private readonly leaseEpoch: () => bigint;
  private readonly signal: AbortSignal;
  private opened = false;
  private wake: () => void = () => undefined;

  constructor(
    clock: Clock,
    intervalMs: number,
    known: ReadonlyMap<string, ObservedEnvironment>,
    hello: SyncRequest,
    leaseEpoch: () => bigint,
    signal: AbortSignal,
  ) {
    this.clock = clock;
    this.intervalMs = intervalMs;
    this.known = known;
    this.first = [hello];
    this.leaseEpoch = leaseEpoch;
    this.signal = signal;
    this.requests = this.run();
  }

  control(request: SyncRequest): void {
    this.first.push(request);
    this.wake();
  }

  open(): void {
    this.opened = true;
    for (const id of this.known.keys()) this.waiting.add(id);
    this.wake();
  }

  changed(environmentId: string): void {
    this.waiting.add(environmentId);
    this.wake();
  }

  forget(environmentId: string): void {
    this.waiting.delete(environmentId);
    this.pacedMs.delete(environmentId);
  }

  private async *run(): AsyncGenerator<SyncRequest> {
    while (!this.signal.aborted) {
      const next = this.first.shift() ?? this.due();
      if (next !== undefined) yield next;
      else await this.change();
    }
  }

  /** A state whose turn it is; undefined while every waiting one was sent a moment ago. */
  private due(): SyncRequest | undefined {
    if (!this.opened) return undefined;
    const nowMs = this.clock.nowMs();
    for (const id of this.waiting) {
      const pacedMs = Math.max(nowMs, this.pacedMs.get(id) ?? 0);
      if (pacedMs - nowMs >= burstCount * this.intervalMs) continue;
      this.waiting.delete(id);
      const observed = this.known.get(id);
      if (observed === undefined) continue;
      this.pacedMs.set(id, pacedMs + this.intervalMs);
      return create(SyncRequestSchema, {
        message: { case: 'observed', value: stamped(observed, this.leaseEpoch()) },
      });
    }
    return undefined;
  }

  /** Resolves when there may be something to send: something new, or the end of an interval. */
  private change(): Promise<void> {
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const finish = (): void => {
        timer?.cancel();
        this.signal.removeEventListener('abort', finish);
        resolve();
      };
      this.wake = finish;
      this.signal.addEventListener('abort', finish, { once: true });
      if (this.opened && this.waiting.size > 0) timer = this.clock.timer(this.intervalMs, finish);
      if (this.signal.aborted || this.first.length > 0) finish();
    });
  }
}

// What is known is kept for the next connection, which has another epoch: only what differs is copied.
function stamped(observed: ObservedEnvironment, leaseEpoch: bigint): ObservedEnvironment {
  const { status } = observed;
  if (status?.detail === undefined) return { ...observed, leaseEpoch };
  const detail = { ...status.detail, leaseEpoch };
  return { ...observed, leaseEpoch, status: { ...status, detail } };
}
