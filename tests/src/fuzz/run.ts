/** Gives a target its inputs, in a process of its own, and tells what came of them. */
import { Worker } from 'node:worker_threads';
import { seededRandom } from '@atelier/simulation/random';
import { shown, shrink } from './shrink.ts';
import type { Input, Opened, Target } from './target.ts';

/** Which inputs are run. The input of an index follows from target, seed and index alone. */
export interface RunOptions {
  readonly name: string;
  readonly seed: number;
  readonly inputs: number;
  /** Only the input of this index. */
  readonly only?: number | undefined;
}

/** An input that was not taken as it should be. */
export interface Finding {
  readonly index: number;
  readonly input: string;
  readonly error: string;
}

/** What came of a run. */
export interface RunReport {
  readonly name: string;
  readonly seed: number;
  readonly inputs: number;
  readonly seconds: number;
  /** How often each answer was given. */
  readonly answers: Readonly<Record<string, number>>;
  /** Bytes in use after a collection, at a fifth of the inputs and after the last. */
  readonly heapBytes: readonly [early: number, late: number];
  readonly findings: readonly Finding[];
}

/** An input that takes more than this of the process's time hangs. */
const cpuMsMax = 2000;
/** Nothing that is fuzzed may keep an answer back for longer. */
const wallMsMax = 30_000;
/** What may be held more after all inputs than after a fifth of them: caches that were not full, code that was compiled. */
const heapGrowthBytesMax = 12 * 1024 * 1024;
/** Fewer inputs say nothing of growth: code is still being compiled. */
const inputsJudgedMin = 1000;
const findingsMax = 10;

/** Runs the inputs. Ends early after {@link findingsMax} findings of different kinds. */
export async function runTarget(target: Target, options: RunOptions): Promise<RunReport> {
  const lanes = options.only === undefined ? (target.lanes ?? 1) : 1;
  const progress = new Int32Array(new SharedArrayBuffer(4 * (lanes + 1)));
  const watchdog = new Worker(new URL('./watchdog.ts', import.meta.url), {
    workerData: { progress, cpuMsMax, wallMsMax },
  });
  const opened = await target.open();
  const session = new Session(target, opened, options, progress, lanes);
  const startedMs = performance.now();
  await session.run();
  const seconds = (performance.now() - startedMs) / 1000;
  await watchdog.terminate();
  await opened.close();
  const { name, seed } = options;
  return {
    name,
    seed,
    inputs: session.ended,
    seconds,
    answers: session.answers,
    heapBytes: session.heapBytes,
    findings: [...session.findings.values()],
  };
}

class Session {
  readonly answers: Record<string, number> = {};
  readonly heapBytes: [number, number] = [0, 0];
  readonly findings = new Map<string, Finding>();
  ended = 0;
  readonly #target: Target;
  readonly #opened: Opened;
  readonly #options: RunOptions;
  readonly #progress: Int32Array;
  readonly #lanes: number;
  /** What nobody caught. */
  readonly #stray: unknown[] = [];

  constructor(target: Target, opened: Opened, options: RunOptions, progress: Int32Array, lanes: number) {
    this.#target = target;
    this.#opened = opened;
    this.#options = options;
    this.#progress = progress;
    this.#lanes = lanes;
  }

  async run(): Promise<void> {
    const { inputs, only } = this.#options;
    for (const event of ['uncaughtException', 'unhandledRejection', 'warning'] as const)
      process.on(event, (thrown: unknown) => this.#stray.push(thrown));
    if (only !== undefined) return this.#runLane(0, [only].values());
    const early = Math.ceil(inputs / 5);
    const before = numbers(0, early);
    const after = numbers(early, inputs);
    await Promise.all(Array.from({ length: this.#lanes }, (_, lane) => this.#runLane(lane, before)));
    this.heapBytes[0] = await heapBytes();
    await Promise.all(Array.from({ length: this.#lanes }, (_, lane) => this.#runLane(lane, after)));
    this.heapBytes[1] = await heapBytes();
    const growth = this.heapBytes[1] - this.heapBytes[0];
    if (inputs >= inputsJudgedMin && growth > heapGrowthBytesMax)
      this.#add(-1, [], new Error(`it holds ${growth} bytes more than after a fifth of the inputs`));
    await this.#opened.check?.().catch((error: unknown) => this.#add(-1, [], error));
  }

  async #runLane(lane: number, indices: Iterator<number>): Promise<void> {
    const { name, seed } = this.#options;
    for (let next = indices.next(); !next.done && this.findings.size < findingsMax; next = indices.next()) {
      const index = next.value;
      const input = this.#target.make(seededRandom(seed, `${name}/${index}`));
      Atomics.store(this.#progress, lane, index + 1);
      const answer = await this.#outcome(input);
      Atomics.store(this.#progress, lane, 0);
      this.ended += 1;
      Atomics.add(this.#progress, this.#lanes, 1);
      if (typeof answer === 'string') this.answers[answer] = (this.answers[answer] ?? 0) + 1;
      else await this.#found(index, input, answer.error);
    }
  }

  async #outcome(input: Input): Promise<string | { readonly error: unknown }> {
    try {
      const answer = await this.#opened.run(input);
      const error = this.#stray.shift();
      return error === undefined ? answer : { error };
    } catch (error) {
      return { error };
    }
  }

  async #found(index: number, input: Input, error: unknown): Promise<void> {
    const kind = kindOf(error);
    if (this.findings.has(kind)) return;
    this.#add(index, input, error);
    // Other lanes would run into the attempts.
    if (this.#lanes > 1) return;
    const smallest = await shrink(input, async (smaller) => {
      const answer = await this.#outcome(smaller);
      Atomics.add(this.#progress, this.#lanes, 1);
      return typeof answer !== 'string' && kindOf(answer.error) === kind;
    });
    this.#add(index, smallest, error);
  }

  #add(index: number, input: Input, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.findings.set(kindOf(error), { index, input: shown(input).slice(0, 20_000), error: text });
  }
}

/** Two findings are of one kind when their messages differ in numbers and quoted texts only. */
function kindOf(error: unknown): string {
  const message = error instanceof Error ? `${error.name} ${error.message}` : String(error);
  return message.replace(/"(?:[^"\\]|\\.)*"|\d+/g, '').slice(0, 80);
}

function* numbers(from: number, to: number): Generator<number> {
  for (let index = from; index < to; index += 1) yield index;
}

async function heapBytes(): Promise<number> {
  // What ends in a later turn of the event loop is garbage only then.
  for (let round = 0; round < 4; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc?.();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
