/**
 * A disk that keeps whole documents, with the promise of write, fsync and rename: a text that was reported as
 * written is there after a crash; one that was not is there as a whole or not at all.
 */
import { AtelierError, type Clock, type Random } from '@atelier/api';
import { between } from './random.ts';

interface Pending {
  readonly path: string;
  readonly text: string | undefined;
}

/** What a disk needs from its world. */
export interface DiskOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Longest time that a write takes. */
  readonly writeMsMax: number;
  /** Whether the next write fails. */
  readonly fails: () => boolean;
  /** For how long the next write waits beside its own time. */
  readonly delayMs: () => number;
}

/** Documents by path. The disk outlives the processes that write to it. */
export class SimulatedDisk {
  readonly #options: DiskOptions;
  readonly #documents = new Map<string, string>();
  /** Grows with each document that comes or goes: the list of paths is another one then. */
  version = 0;
  #pending: Pending[] = [];

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /** Paths of all documents that are durable. */
  paths(): string[] {
    return [...this.#documents.keys()];
  }

  /** The durable text. */
  peek(path: string): string | undefined {
    return this.#documents.get(path);
  }

  /** Reads a document as the last write left it. */
  async read(path: string): Promise<string | undefined> {
    return this.#documents.get(path);
  }

  /** Writes a document (takes it away when `text` is undefined); resolves when that is durable. */
  async write(path: string, text: string | undefined): Promise<void> {
    const { clock, random, writeMsMax, fails, delayMs } = this.#options;
    if (fails()) {
      throw new AtelierError('resource_exhausted', `${path} cannot be written: the simulated disk is full.`);
    }
    const pending: Pending = { path, text };
    this.#pending.push(pending);
    await new Promise<void>((resolve) => {
      clock.timer(between(random, 0, writeMsMax) + delayMs(), () => {
        // A crash meanwhile has decided about it.
        if (!this.#pending.includes(pending)) return;
        this.#pending = this.#pending.filter((each) => each !== pending);
        this.#settle(pending);
        resolve();
      });
    });
  }

  /** The writer is gone: each of its unfinished writes has reached the disk or has not. */
  crash(): void {
    for (const pending of this.#pending) {
      if (this.#options.random() < 0.5) this.#settle(pending);
    }
    this.#pending = [];
  }

  #settle({ path, text }: Pending): void {
    if (this.#documents.has(path) !== (text !== undefined)) this.version += 1;
    if (text === undefined) this.#documents.delete(path);
    else this.#documents.set(path, text);
  }
}
