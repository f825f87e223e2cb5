/** ProcessService of a simulated instance: the programs of `programs.ts`, streamed as the real ones are. */
import {
  OutputStream,
  ProcessService,
  RunResponseSchema,
  type ProcessStart,
  type RunRequest,
  type RunResponse,
} from '@atelier/api/atelier/process';
import type { InstanceStart } from '@atelier/driver';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import { Changes } from './changes.ts';
import { filesOf, homeOf } from './files.ts';
import { findProgram } from './programs.ts';
import type { Surroundings } from './surroundings.ts';
import type { InstanceTimers } from './timers.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const killedExitCode = 137;

interface SimulatedProcess {
  readonly start: ProcessStart;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly changes: Changes;
  input: string;
  inputSequence: bigint;
  inputEnded: boolean;
  stdout: Uint8Array;
  stderr: Uint8Array;
  exit: { exitCode: number; signal: string; failureMessage: string } | undefined;
}

/** The processes of one run of PID 1. */
export class SimulatedProcesses {
  /** Whether a process of this run wrote to the workspace. */
  hasWritten = false;
  readonly #machine: Surroundings;
  readonly #instance: InstanceStart;
  readonly #timers: InstanceTimers;
  readonly #processes = new Map<string, SimulatedProcess>();
  #lastPid: number;

  constructor(machine: Surroundings, instance: InstanceStart, timers: InstanceTimers, firstPid: number) {
    this.#machine = machine;
    this.#instance = instance;
    this.#timers = timers;
    this.#lastPid = firstPid;
  }

  /** How many processes have not ended. */
  get running(): number {
    return this.#live().length;
  }

  /** Serves the methods on a connection. */
  serve(router: ConnectRouter): void {
    router.service(ProcessService, {
      run: (requests) => this.#run(requests),
      listProcesses: () => ({
        processes: this.#live().map(({ start, pid, startedAtMs }) => ({
          processId: start.processId,
          pid,
          arguments: start.arguments,
          startedAt: timestampFromMs(startedAtMs),
          terminal: start.terminal !== undefined,
        })),
      }),
      signalProcess: ({ processId, signal }) => {
        signalProcess(this.#require(processId), signal);
        return {};
      },
    });
  }

  #live(): SimulatedProcess[] {
    return [...this.#processes.values()].filter(({ exit }) => exit === undefined);
  }

  #require(processId: string): SimulatedProcess {
    const process = this.#processes.get(processId);
    if (process !== undefined) return process;
    throw new ConnectError(`There is no process ${processId} in this instance.`, Code.NotFound);
  }

  async *#run(requests: AsyncIterable<RunRequest>): AsyncIterable<RunResponse> {
    const iterator = requests[Symbol.asyncIterator]();
    const first = (await iterator.next()) as IteratorResult<RunRequest, undefined>;
    const message = first.value?.message;
    if (message?.case !== 'start' && message?.case !== 'attach') {
      throw new ConnectError('The first request must be start or attach.', Code.InvalidArgument);
    }
    const { processId } = message.value;
    const resumed = this.#processes.has(processId);
    const process = message.case === 'start' ? this.#ensure(message.value) : this.#require(processId);
    const offsets =
      message.case === 'attach'
        ? { stdout: Number(message.value.stdoutOffset), stderr: Number(message.value.stderrOffset) }
        : { stdout: 0, stderr: 0 };
    const ending = new AbortController();
    void takeInput(iterator, process).catch(() => {});
    yield response({
      case: 'started',
      value: { processId, pid: process.pid, resumed, inputSequence: process.inputSequence },
    });
    yield* followProcess(process, offsets, ending);
  }

  #ensure(start: ProcessStart): SimulatedProcess {
    const known = this.#processes.get(start.processId);
    if (known !== undefined) return known;
    this.#lastPid += 1;
    const process: SimulatedProcess = {
      start,
      pid: this.#lastPid,
      startedAtMs: this.#machine.clock.nowMs(),
      changes: new Changes(),
      input: '',
      inputSequence: 0n,
      inputEnded: false,
      stdout: new Uint8Array(),
      stderr: new Uint8Array(),
      exit: undefined,
    };
    this.#processes.set(start.processId, process);
    this.#begin(process);
    return process;
  }

  /** Runs the program when its input is complete, if it reads one; else at once. */
  #begin(process: SimulatedProcess): void {
    const { behaviour } = this.#machine;
    const [name = 'sh', ...words] = process.start.arguments;
    const program = findProgram(name, behaviour.programs);
    if (program === undefined) {
      return finish(process, {
        exitCode: 127,
        signal: '',
        failureMessage: `There is no program ${name} here.`,
      });
    }
    const home = homeOf(this.#instance);
    const { workingDirectory } = process.start;
    const run = (): void => {
      if (process.exit !== undefined) return;
      const result = program.run({
        arguments: [name, ...words],
        environment: { ...this.#instance.environment, ...process.start.environment },
        files: filesOf(
          this.#machine,
          this.#instance,
          workingDirectory === '' ? home : workingDirectory,
          () => {
            this.hasWritten = true;
          },
        ),
        input: process.input,
        repositories: this.#machine.repositories,
      });
      this.#timers.after(result.tookMs ?? behaviour.programMs, () => {
        process.stdout = encoder.encode(result.stdout ?? '');
        process.stderr = encoder.encode(result.stderr ?? '');
        finish(process, { exitCode: result.exitCode, signal: '', failureMessage: '' });
      });
    };
    const waits = program.readsInput === true && words.every((word) => word.startsWith('-'));
    if (waits) void inputEnd(process).then(run);
    else run();
  }
}

async function takeInput(requests: AsyncIterator<RunRequest>, process: SimulatedProcess): Promise<void> {
  for (;;) {
    const next = await requests.next();
    if (next.done === true) return;
    const { message } = next.value;
    if (message.case === 'signal') signalProcess(process, message.value);
    if (message.case !== 'input' || message.value.sequence <= process.inputSequence) continue;
    process.inputSequence = message.value.sequence;
    process.input += decoder.decode(message.value.data);
    process.inputEnded ||= message.value.end;
    process.changes.notify();
  }
}

async function inputEnd(process: SimulatedProcess): Promise<void> {
  const never = new AbortController();
  for await (const _ of process.changes.watch(never.signal)) {
    if (process.inputEnded || process.exit !== undefined) return;
  }
}

/** Sends what a client does not have yet, until the process has ended. */
async function* followProcess(
  process: SimulatedProcess,
  offsets: { stdout: number; stderr: number },
  ending: AbortController,
): AsyncIterable<RunResponse> {
  let acknowledged = process.inputSequence;
  for await (const _ of process.changes.watch(ending.signal)) {
    if (process.inputSequence > acknowledged) {
      acknowledged = process.inputSequence;
      yield response({ case: 'inputAcknowledgement', value: { sequence: acknowledged } });
    }
    for (const name of ['stdout', 'stderr'] as const) {
      const data = process[name].slice(offsets[name]);
      if (data.length === 0) continue;
      const stream = name === 'stdout' ? OutputStream.STDOUT : OutputStream.STDERR;
      yield response({ case: 'output', value: { stream, offset: BigInt(offsets[name]), data } });
      offsets[name] += data.length;
    }
    if (process.exit !== undefined) {
      yield response({ case: 'exited', value: process.exit });
      return;
    }
  }
}

function finish(process: SimulatedProcess, exit: NonNullable<SimulatedProcess['exit']>): void {
  process.exit ??= exit;
  process.changes.notify();
}

function signalProcess(process: SimulatedProcess, signal: string): void {
  if (['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGHUP'].includes(signal)) {
    finish(process, { exitCode: killedExitCode, signal, failureMessage: '' });
  }
}

function response(message: MessageInitShape<typeof RunResponseSchema>['message']): RunResponse {
  return create(RunResponseSchema, { message: message as never });
}
