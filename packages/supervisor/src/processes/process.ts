/** One process that clients start, leave and come back to: output by offsets, input by sequence numbers. */
import { AtelierError, type Timer } from '@atelier/api';
import { LastTime } from '../activity.ts';
import type { Machine } from '../machine.ts';
import { OutputBuffer, Signal } from '../output.ts';
import { signalGroup, startChild, type Child, type ChildExit, type OutputName } from './child.ts';
import { prepareLaunch, type Launch } from './launch.ts';

/** Unread bytes at which the process has to wait, as long as somebody is there to read them. */
const unreadBytesMax = 1024 * 1024;
/** Bytes behind the slowest reader that are kept: more than can be under way when a connection breaks. */
const replayBytes = 1024 * 1024;
const terminalHistoryBytes = 4 * 1024 * 1024;
const outputBytesMax = 64 * 1024;
/** Input that may wait for the process before a client has to. */
const pendingInputBytesMax = 1024 * 1024;

/** What a process is started with, beside its launch. */
export interface ProcessOptions {
  readonly id: string;
  readonly launch: Launch;
  /** How long it lives with nobody attached; undefined means for ever. */
  readonly unattendedMs: number | undefined;
}

/** How a process is over: it ended, or it could not even start. */
export interface ProcessEnd extends ChildExit {
  /** Why it could not be started; empty otherwise. */
  readonly failure: string;
}

/** Who is told of a process. */
export interface ProcessListener {
  onEnd(): void;
  /** A terminal was used, for whoever decides about idleness. */
  onActivity(): void;
}

/** The next thing that an attached client is told. */
export type AttachmentEvent =
  | { readonly kind: 'output'; readonly name: OutputName; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'acknowledged'; readonly sequence: number }
  | { readonly kind: 'exited'; readonly end: ProcessEnd };

interface Output {
  readonly name: OutputName;
  readonly buffer: OutputBuffer;
  /** The furthest offset that anybody was given. */
  delivered: number;
  paused: boolean;
}

/** A process that was asked for, running or over. */
export class SupervisedProcess {
  readonly id: string;
  readonly launch: Launch;
  /** What is executed, as a person would name it. */
  shown: readonly string[];
  readonly startedAtMs: number;
  readonly changed = new Signal();
  readonly pid: number;
  size: { columns: number; rows: number } | undefined;
  end: ProcessEnd | undefined;
  endedAtMs = 0;
  inputSequence = 0;
  /** When somebody typed into the terminal. */
  readonly typed: LastTime;
  /** When the terminal printed something while somebody was attached. */
  readonly printed: LastTime;
  readonly #machine: Machine;
  readonly #unattendedMs: number | undefined;
  readonly #child: Child | undefined;
  readonly #outputs: readonly Output[];
  readonly #attachments = new Set<Attachment>();
  readonly #listener: ProcessListener;
  #pendingInputBytes = 0;
  #unattended: Timer | undefined;

  constructor(machine: Machine, options: ProcessOptions, listener: ProcessListener) {
    this.#machine = machine;
    this.#listener = listener;
    this.typed = new LastTime(machine.clock, listener.onActivity);
    this.printed = new LastTime(machine.clock, listener.onActivity);
    this.#unattendedMs = options.unattendedMs;
    this.id = options.id;
    this.launch = options.launch;
    this.size = options.launch.terminal;
    this.startedAtMs = machine.clock.nowMs();
    const names: OutputName[] = options.launch.terminal ? ['stdout'] : ['stdout', 'stderr'];
    this.#outputs = names.map((name) => ({ name, buffer: new OutputBuffer(), delivered: 0, paused: false }));
    this.shown = options.launch.arguments;
    const prepared = prepareLaunch(machine, options.launch);
    if (!('failure' in prepared)) this.shown = prepared.shown;
    const child =
      'failure' in prepared
        ? prepared
        : startChild(machine, prepared, this.size, {
            onOutput: (name, data) => this.#take(name, data),
            onExit: (exit) => this.#over({ ...exit, failure: '' }),
          });
    if ('failure' in child) {
      this.pid = 0;
      this.#over({ exitCode: child.exitCode, signal: '', failure: child.failure });
      return;
    }
    this.#child = child;
    this.pid = child.pid;
    this.#watchUnattended();
  }

  get attachedClients(): number {
    return this.#attachments.size;
  }

  /** The bytes of an output that came so far. */
  bytesOf(name: OutputName): number {
    return this.#outputs.find((output) => output.name === name)?.buffer.end ?? 0;
  }

  /** Offset of the first byte of an output that can still be read. */
  firstOffsetOf(name: OutputName): number {
    return this.#outputs.find((output) => output.name === name)?.buffer.start ?? 0;
  }

  /** The bytes of all outputs that can still be read. */
  get keptBytes(): number {
    return this.#outputs.reduce((sum, { buffer }) => sum + buffer.end - buffer.start, 0);
  }

  /** Begins to read from the offsets that the client has. `data_loss` when pipes no longer have them. */
  attach(offsets: Readonly<Record<OutputName, number>>): Attachment {
    for (const { name, buffer } of this.#outputs) {
      if (offsets[name] > buffer.end) {
        throw new AtelierError(
          'invalid_argument',
          `Process ${this.id} has written ${buffer.end} bytes to ${name}, not ${offsets[name]}. Attach with less.`,
        );
      }
      if (!this.size && offsets[name] < buffer.start) {
        throw new AtelierError(
          'data_loss',
          `Process ${this.id} keeps ${name} from byte ${buffer.start} on. Attach there, or start another process.`,
        );
      }
    }
    const attachment = new Attachment(this, this.#outputs, offsets, (gone) => this.#detach(gone));
    this.#attachments.add(attachment);
    this.#unattended?.cancel();
    this.regulate();
    return attachment;
  }

  /**
   * Takes one input. Resolves when more may come. `taken` is called once the process has it; a sequence that
   * was taken before is only acknowledged. `invalid_argument` for a gap.
   */
  async input(sequence: number, data: Uint8Array, end: boolean, taken: () => void): Promise<void> {
    if (sequence <= this.inputSequence) return taken();
    if (sequence !== this.inputSequence + 1) {
      throw new AtelierError(
        'invalid_argument',
        `Input ${sequence} of process ${this.id} follows ${this.inputSequence}: send what is between first.`,
      );
    }
    this.inputSequence = sequence;
    await this.write(data, end, taken);
  }

  /** Writes to the process outside of the sequence. Resolves when more may come. */
  async write(data: Uint8Array, end = false, taken: () => void = () => {}): Promise<void> {
    if (this.size) this.typed.happens();
    this.#pendingInputBytes += data.length;
    const written = (
      data.length > 0 ? (this.#child?.write(data) ?? Promise.resolve()) : Promise.resolve()
    ).then(() => {
      this.#pendingInputBytes -= data.length;
      taken();
    });
    if (end) this.#child?.end();
    if (this.#pendingInputBytes > pendingInputBytesMax) await written;
  }

  /** Changes the size of the terminal. `failed_precondition` for a process with pipes. */
  resize(columns: number, rows: number): void {
    if (!isSize(columns) || !isSize(rows)) {
      throw new AtelierError(
        'invalid_argument',
        `A terminal has 1 to 65535 columns and rows, not ${columns}x${rows}.`,
      );
    }
    if (this.end) return;
    this.#child?.resize(columns, rows);
    this.size = { columns, rows };
  }

  /** Signals the whole process group; does nothing when the process is over. */
  signal(name: string): void {
    if (!this.end && this.pid > 0) signalGroup(this.pid, name);
  }

  #take(name: OutputName, data: Buffer): void {
    this.#outputs.find((output) => output.name === name)?.buffer.append(data);
    if (this.size && this.#attachments.size > 0) this.printed.happens();
    this.regulate();
    this.changed.notify();
  }

  #over(end: ProcessEnd): void {
    this.end = end;
    this.endedAtMs = this.#machine.clock.nowMs();
    this.#unattended?.cancel();
    this.#child?.discard();
    this.changed.notify();
    this.#listener.onEnd();
  }

  #detach(attachment: Attachment): void {
    this.#attachments.delete(attachment);
    this.regulate();
    this.#watchUnattended();
  }

  #watchUnattended(): void {
    if (this.#attachments.size > 0 || this.end || this.#unattendedMs === undefined) return;
    this.#unattended?.cancel();
    this.#unattended = this.#machine.clock.timer(this.#unattendedMs, () => {
      this.signal('SIGKILL');
      // Nobody will read what the pipes still hold, and the exit waits for it to be read.
      this.#child?.discard();
    });
  }

  /** Called by attachments when they have taken bytes: forgets what is old, and lets the process go on or wait. */
  regulate(): void {
    const attached = [...this.#attachments];
    for (const output of this.#outputs) {
      const positions = attached.map((attachment) => attachment.positionOf(output.name));
      output.delivered = Math.max(output.delivered, ...positions);
      const position = attached.length > 0 ? Math.min(...positions) : output.delivered;
      const { buffer } = output;
      const waits = attached.length > 0 || !this.size;
      const paused = waits && buffer.end - position >= unreadBytesMax;
      if (this.size) buffer.dropBefore(buffer.end - terminalHistoryBytes);
      else buffer.dropBefore(position - replayBytes);
      if (paused === output.paused) continue;
      output.paused = paused;
      this.#child?.setPaused(output.name, paused);
    }
  }
}

/** One client's view of a process. */
export class Attachment {
  readonly #process: SupervisedProcess;
  readonly #outputs: readonly Output[];
  readonly #positions: Record<OutputName, number>;
  readonly #detached: (attachment: Attachment) => void;
  #acknowledge = 0;
  #acknowledged = 0;
  #failure: unknown;
  #failed = false;
  #last: OutputName = 'stderr';

  constructor(
    process: SupervisedProcess,
    outputs: readonly Output[],
    offsets: Readonly<Record<OutputName, number>>,
    detached: (attachment: Attachment) => void,
  ) {
    this.#process = process;
    this.#outputs = outputs;
    this.#positions = { ...offsets };
    this.#detached = detached;
  }

  /** The offset up to which this client was given an output. */
  positionOf(name: OutputName): number {
    return this.#positions[name];
  }

  /** Tells the client with its next event that inputs up to this one were taken. */
  acknowledge(sequence: number): void {
    this.#acknowledge = Math.max(this.#acknowledge, sequence);
    this.#process.changed.notify();
  }

  /** Makes `next` throw. */
  fail(failure: unknown): void {
    this.#failure = failure;
    this.#failed = true;
    this.#process.changed.notify();
  }

  /** Waits for the next event; undefined when `signal` is aborted. After `exited` there is nothing more. */
  async next(signal: AbortSignal): Promise<AttachmentEvent | undefined> {
    while (!signal.aborted) {
      if (this.#failed) throw this.#failure;
      if (this.#acknowledge > this.#acknowledged) {
        this.#acknowledged = this.#acknowledge;
        return { kind: 'acknowledged', sequence: this.#acknowledged };
      }
      const output = this.#nextOutput();
      if (output) return output;
      if (this.#process.end) return { kind: 'exited', end: this.#process.end };
      await this.#process.changed.wait(signal);
    }
    return undefined;
  }

  /** Ends the view; the process goes on. */
  detach(): void {
    this.#detached(this);
  }

  // The two outputs take turns, so that a flood on one does not hold back the other.
  #nextOutput(): AttachmentEvent | undefined {
    const order = this.#outputs.toSorted((output) => (output.name === this.#last ? 1 : -1));
    for (const { name, buffer } of order) {
      const part = buffer.read(this.#positions[name], outputBytesMax);
      if (!part) continue;
      this.#last = name;
      this.#positions[name] = part.offset + part.data.length;
      this.#process.regulate();
      return { kind: 'output', name, ...part };
    }
    return undefined;
  }
}

function isSize(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65_535;
}
