/** What goes into a process: inputs with sequence numbers, kept until they are acknowledged. */
import {
  ProcessInputSchema,
  RunRequestSchema,
  TerminalSizeSchema,
  type RunRequest,
  type TerminalSize,
} from '@atelier/api/atelier/process';
import { create } from '@bufbuild/protobuf';

interface Input {
  readonly sequence: bigint;
  readonly data: Uint8Array;
  readonly end: boolean;
}

const inputBytesMax = 32 * 1024;
const unacknowledgedBytesMax = 512 * 1024;
const unacknowledgedMax = 256;

/** The input side of one process, over all its connections. */
export class ProcessInput {
  readonly #unacknowledged: Input[] = [];
  readonly #signals: string[] = [];
  #bytes = 0;
  #sequence = 0n;
  #size: Pick<TerminalSize, 'columns' | 'rows'> | undefined;
  #sizeChanges = 0;
  #changed: (() => void)[] = [];

  /** Takes bytes; resolves when more may come. Nothing may follow after `end`. */
  async write(data: Uint8Array, end = false): Promise<void> {
    for (let offset = 0; offset < data.length; offset += inputBytesMax) {
      const part = data.subarray(offset, offset + inputBytesMax);
      this.#add(part, end && offset + part.length >= data.length);
    }
    if (end && data.length === 0) this.#add(data, true);
    while (this.#isFull()) await this.#wait();
  }

  resize(size: Pick<TerminalSize, 'columns' | 'rows'>): void {
    this.#size = size;
    this.#sizeChanges += 1;
    this.#notify();
  }

  signal(name: string): void {
    this.#signals.push(name);
    this.#notify();
  }

  /** The process has taken everything up to this sequence. */
  acknowledge(sequence: bigint): void {
    while ((this.#unacknowledged[0]?.sequence ?? sequence + 1n) <= sequence) {
      this.#bytes -= this.#unacknowledged.shift()?.data.length ?? 0;
    }
    this.#notify();
  }

  /**
   * The requests of one connection after the first: every input that was not acknowledged, then what comes.
   * `takenUpTo` resolves to the sequence that the process has already taken. Ends when the signal is aborted.
   */
  async *requests(takenUpTo: Promise<bigint>, signal: AbortSignal): AsyncGenerator<RunRequest> {
    const stopped = new Promise<undefined>((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
      if (signal.aborted) resolve(undefined);
    });
    const taken = await Promise.race([takenUpTo, stopped]);
    if (taken === undefined) return;
    const sent = { sequence: taken, sizeChanges: 0 };
    while (!signal.aborted) {
      const message = this.#next(sent);
      if (message) yield create(RunRequestSchema, { message });
      else await Promise.race([this.#wait(), stopped]);
    }
  }

  #next(sent: { sequence: bigint; sizeChanges: number }): RunRequest['message'] | undefined {
    const name = this.#signals.shift();
    if (name !== undefined) return { case: 'signal', value: name };
    if (this.#size && sent.sizeChanges !== this.#sizeChanges) {
      sent.sizeChanges = this.#sizeChanges;
      return { case: 'resize', value: create(TerminalSizeSchema, this.#size) };
    }
    const input = this.#unacknowledged.find(({ sequence }) => sequence > sent.sequence);
    if (!input) return undefined;
    sent.sequence = input.sequence;
    return { case: 'input', value: create(ProcessInputSchema, input) };
  }

  #isFull(): boolean {
    return this.#bytes > unacknowledgedBytesMax || this.#unacknowledged.length > unacknowledgedMax;
  }

  #add(data: Uint8Array, end: boolean): void {
    this.#sequence += 1n;
    // The caller may use its buffer again; an input has to stay what it was until it is acknowledged.
    this.#unacknowledged.push({ sequence: this.#sequence, data: new Uint8Array(data), end });
    this.#bytes += data.length;
    this.#notify();
  }

  #notify(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }
}
