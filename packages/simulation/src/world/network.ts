/**
 * The network between runner and plane: streams whose messages arrive in order, some time later, until the
 * connection breaks; then everything under way is lost and each end sees the break, or in a partition nothing.
 * A partition can be of one direction only. What was under way in it arrives when it ends, or never.
 */
import { AtelierError, type Clock, type Random } from '@atelier/api';
import type { SimulatedProcess } from './process.ts';
import { between } from './random.ts';

/** What a network does to its messages. */
export interface NetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Longest time that a message is under way. */
  readonly latencyMsMax: number;
  /** Whether the next message takes its connection with it. */
  readonly drops: () => boolean;
  /** Whether the next message arrives twice. */
  readonly doubles: () => boolean;
}

/** From the one who dials to the one who listens, or back. */
export type Direction = 'up' | 'down';

/** The listening side of a protocol: gives the answers to the requests of one connection. */
export type Serve<Request, Response> = (
  requests: AsyncIterable<Request>,
  signal: AbortSignal,
) => AsyncIterable<Response>;

/** A network with one listening place. */
export class SimulatedNetwork<Request, Response> {
  /** Directions in which nothing arrives and nobody is told. */
  readonly #cut = new Set<Direction>();
  readonly #options: NetworkOptions;
  readonly #connections = new Set<Connection>();
  #server: { readonly process: SimulatedProcess; readonly serve: Serve<Request, Response> } | undefined;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** Lets a process answer from now on, until it is killed. */
  listen(process: SimulatedProcess, serve: Serve<Request, Response>): void {
    this.#server = { process, serve };
  }

  /** Whether anything is cut. */
  get partitioned(): boolean {
    return this.#cut.size > 0;
  }

  /** Lets nothing through in these directions until `heal`. */
  partition(directions: readonly Direction[]): void {
    for (const direction of directions) this.#cut.add(direction);
  }

  /**
   * Ends the partition. Connections that lasted through it are found to be broken, or, when nobody has given
   * them up and `delivers` is said, get what was under way.
   */
  heal(delivers = false): void {
    this.#cut.clear();
    for (const connection of this.#connections) {
      if (!delivers || connection.broken) connection.break();
      else for (const arrive of connection.held.splice(0)) arrive();
    }
  }

  /** Opens a connection for a process. Fails with `unavailable` where nobody answers. */
  async *dial(
    process: SimulatedProcess,
    requests: AsyncIterable<Request>,
    signal: AbortSignal,
  ): AsyncGenerator<Response> {
    const server = this.#server;
    if (this.partitioned || server === undefined || !server.process.alive) throw broken();
    const connection = new Connection();
    this.#connections.add(connection);
    const end = (): void => {
      // In a partition the other end is not told: it finds out by its own deadline, or when the net heals.
      if (this.#cut.has('up')) connection.halfBreak('server');
      else connection.break();
    };
    signal.addEventListener('abort', end, { once: true });
    const forgets = [
      process.onKill(end),
      server.process.onKill(() =>
        this.#cut.has('down') ? connection.halfBreak('client') : connection.break(),
      ),
    ];
    void connection.ended.then(() => this.#connections.delete(connection));
    const upwards = this.#pipe(requests, connection, connection.client, 'up');
    const arriving = this.#arriving(upwards, connection.server, server.process);
    const responses = server.serve(arriving, connection.server.signal);
    const downwards = this.#pipe(responses, connection, connection.server, 'down');
    try {
      yield* this.#arriving(downwards, connection.client, process);
    } finally {
      signal.removeEventListener('abort', end);
      for (const forget of forgets) forget();
      end();
    }
  }

  /** Takes messages from a source as they come and lets each arrive later. */
  #pipe<Message>(
    source: AsyncIterable<Message>,
    connection: Connection,
    from: End,
    direction: Direction,
  ): Queue<Message> {
    const { clock, random, latencyMsMax, drops, doubles } = this.#options;
    const queue = new Queue<Message>();
    let earliestMs = 0;
    const arrive = (push: () => void): void => {
      if (connection.broken) return;
      if (this.#cut.has(direction)) connection.held.push(push);
      else push();
    };
    const pump = async (): Promise<void> => {
      const iterator = source[Symbol.asyncIterator]();
      from.signal.addEventListener('abort', () => void iterator.return?.().catch(() => {}), { once: true });
      for (;;) {
        const next = await iterator.next();
        if (from.signal.aborted) return;
        if (next.done === true) return arrive(() => queue.end());
        if (drops()) return connection.break();
        const times = doubles() ? 2 : 1;
        earliestMs = Math.max(earliestMs, clock.nowMs() + between(random, 1, latencyMsMax));
        clock.timer(earliestMs - clock.nowMs(), () =>
          arrive(() => {
            for (let time = 0; time < times; time += 1) queue.push(next.value);
          }),
        );
      }
    };
    void pump().catch((error: unknown) => queue.fail(error));
    return queue;
  }

  async *#arriving<Message>(
    queue: Queue<Message>,
    at: End,
    process: SimulatedProcess,
  ): AsyncGenerator<Message> {
    const abort = (): void => queue.fail(broken());
    at.signal.addEventListener('abort', abort, { once: true });
    if (at.signal.aborted) abort();
    try {
      for await (const message of queue.messages()) {
        if (process.paused) await process.running();
        yield message;
      }
    } finally {
      at.signal.removeEventListener('abort', abort);
    }
  }
}

function broken(): AtelierError {
  return new AtelierError('unavailable', 'The simulated connection is broken.');
}

interface End {
  readonly signal: AbortSignal;
}

/** Both ends of one connection; each learns of its end by its own signal. */
class Connection {
  readonly #client = new AbortController();
  readonly #server = new AbortController();
  readonly client: End = { signal: this.#client.signal };
  readonly server: End = { signal: this.#server.signal };
  readonly ended: Promise<void>;
  /** Arrivals that a partition holds up. */
  readonly held: Array<() => void> = [];
  #end: () => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get broken(): boolean {
    return this.#client.signal.aborted || this.#server.signal.aborted;
  }

  break(): void {
    this.#client.abort();
    this.#server.abort();
    this.#end();
  }

  /** Ends one end; `unaware` is the other. */
  halfBreak(unaware: 'client' | 'server'): void {
    (unaware === 'server' ? this.#client : this.#server).abort();
  }
}

/** Messages that have arrived and nobody has taken yet. */
class Queue<Message> {
  readonly #messages: Message[] = [];
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};

  push(message: Message): void {
    this.#messages.push(message);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  async *messages(): AsyncGenerator<Message> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      const message = this.#messages.shift();
      if (message !== undefined) yield message;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
