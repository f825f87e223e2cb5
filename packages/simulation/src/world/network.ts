/**
 * The network between runner and plane: streams whose messages arrive in order, some time later, until the
 * connection breaks; then everything under way is lost and each end sees the break, or in a partition nothing.
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
  /** Chance that a message takes its connection with it. */
  dropProbability: () => number;
  readonly onDrop: () => void;
}

/** The listening side of a protocol: gives the answers to the requests of one connection. */
export type Serve<Request, Response> = (
  requests: AsyncIterable<Request>,
  signal: AbortSignal,
) => AsyncIterable<Response>;

/** A network with one listening place. */
export class SimulatedNetwork<Request, Response> {
  /** While true nothing arrives and nobody is told. */
  partitioned = false;
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

  /** Ends the partition: connections that lasted through it are found to be broken. */
  heal(): void {
    this.partitioned = false;
    for (const connection of this.#connections) connection.break();
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
      if (this.partitioned) connection.halfBreak('server');
      else connection.break();
    };
    signal.addEventListener('abort', end, { once: true });
    const forgets = [
      process.onKill(end),
      server.process.onKill(() => (this.partitioned ? connection.halfBreak('client') : connection.break())),
    ];
    void connection.ended.then(() => this.#connections.delete(connection));
    const upwards = this.#pipe(requests, connection, connection.client);
    const responses = server.serve(this.#arriving(upwards, connection.server), connection.server.signal);
    const downwards = this.#pipe(responses, connection, connection.server);
    try {
      yield* this.#arriving(downwards, connection.client);
    } finally {
      signal.removeEventListener('abort', end);
      for (const forget of forgets) forget();
      end();
    }
  }

  /** Takes messages from a source as they come and lets each arrive later. */
  #pipe<Message>(source: AsyncIterable<Message>, connection: Connection, from: End): Queue<Message> {
    const { clock, random, latencyMsMax, dropProbability, onDrop } = this.#options;
    const queue = new Queue<Message>();
    let earliestMs = 0;
    const pump = async (): Promise<void> => {
      const iterator = source[Symbol.asyncIterator]();
      from.signal.addEventListener('abort', () => void iterator.return?.().catch(() => {}), { once: true });
      for (;;) {
        const next = await iterator.next();
        if (from.signal.aborted) return;
        if (next.done === true) return queue.end();
        const dropChance = dropProbability();
        if (dropChance > 0 && random() < dropChance) {
          onDrop();
          return connection.break();
        }
        earliestMs = Math.max(earliestMs, clock.nowMs() + between(random, 1, latencyMsMax));
        clock.timer(earliestMs - clock.nowMs(), () => {
          if (!this.partitioned && !connection.broken) queue.push(next.value);
        });
      }
    };
    void pump().catch((error: unknown) => queue.fail(error));
    return queue;
  }

  async *#arriving<Message>(queue: Queue<Message>, at: End): AsyncGenerator<Message> {
    const abort = (): void => queue.fail(broken());
    at.signal.addEventListener('abort', abort, { once: true });
    if (at.signal.aborted) abort();
    try {
      yield* queue.messages();
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
