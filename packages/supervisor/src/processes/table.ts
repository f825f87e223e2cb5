/** All processes that clients started, by their ids; the ended ones for a while, so that nobody misses the end. */
import { AtelierError, type Timer } from '@atelier/api';
import type { LastTime } from '../activity.ts';
import type { Machine } from '../machine.ts';
import { SupervisedProcess, type ProcessOptions } from './process.ts';

const runningMax = 256;
const endedMax = 64;
/** How long an ended process can still be attached to: for somebody whose connection broke, who tries again. */
const endedKeptMs = 5 * 60_000;
/** Bytes of all ended processes together. */
const endedBytesMax = 8 * 1024 * 1024;

/** The processes of an environment that have a client's id. */
export class ProcessTable {
  readonly #machine: Machine;
  readonly #acted: LastTime;
  readonly #onChange: () => void;
  readonly #processes = new Map<string, SupervisedProcess>();
  #sweep: Timer | undefined;
  #closed = false;

  /** `acted` is when a client did something. `onChange` is called when a process starts or ends, or a terminal is used. */
  constructor(machine: Machine, acted: LastTime, onChange: () => void) {
    this.#machine = machine;
    this.#acted = acted;
    this.#onChange = onChange;
  }

  /** Starts a process, or finds the one that this id started before. `resource_exhausted` when there are too many. */
  start(options: ProcessOptions): { readonly process: SupervisedProcess; readonly resumed: boolean } {
    const existing = this.#processes.get(options.id);
    if (existing) return { process: existing, resumed: true };
    if (!/^[a-zA-Z0-9_-]{1,64}$/.test(options.id)) {
      const message = `A process id has 1 to 64 of [a-zA-Z0-9_-], not ${JSON.stringify(options.id.slice(0, 80))}.`;
      throw new AtelierError('invalid_argument', message);
    }
    if (this.#closed) {
      throw new AtelierError('failed_precondition', 'The environment is stopping. Start it again first.');
    }
    if (this.running().length >= runningMax) {
      throw new AtelierError(
        'resource_exhausted',
        `${runningMax} processes are running. End one of them first.`,
      );
    }
    const process = new SupervisedProcess(this.#machine, options, {
      // What was done in a terminal is known by the terminal only as long as that is there.
      onEnd: () => this.#ended(options.launch.terminal !== undefined),
      onActivity: this.#onChange,
    });
    this.#processes.set(options.id, process);
    this.#onChange();
    return { process, resumed: false };
  }

  /** The process of this id. `not_found` when there is none, or its end is long ago. */
  get(id: string): SupervisedProcess {
    const process = this.#processes.get(id);
    if (process) return process;
    throw new AtelierError(
      'not_found',
      `There is no process ${JSON.stringify(id)}. List the processes to see their ids.`,
    );
  }

  /** Forgets an ended process. */
  forget(id: string): void {
    if (this.#processes.get(id)?.end) this.#processes.delete(id);
  }

  /** The processes that run, in the order of their start. */
  running(): SupervisedProcess[] {
    return [...this.#processes.values()].filter((process) => !process.end);
  }

  /** Starts nothing any more; what there is goes on. */
  close(): void {
    this.#closed = true;
    this.#sweep?.cancel();
  }

  #ended(isTerminal: boolean): void {
    if (isTerminal) this.#acted.happens();
    this.#forgetOld();
    this.#onChange();
  }

  #forgetOld(): void {
    const nowMs = this.#machine.clock.nowMs();
    const ended = [...this.#processes.values()]
      .filter((process) => process.end && process.attachedClients === 0)
      .sort((one, other) => other.endedAtMs - one.endedAtMs);
    let bytes = 0;
    for (const [index, process] of ended.entries()) {
      bytes += process.keptBytes;
      const old = nowMs - process.endedAtMs >= endedKeptMs;
      if (index >= endedMax || old || bytes > endedBytesMax) this.#processes.delete(process.id);
    }
    this.#sweep?.cancel();
    if (ended.length > 0 && !this.#closed) {
      this.#sweep = this.#machine.clock.timer(endedKeptMs, () => this.#forgetOld());
    }
  }
}
