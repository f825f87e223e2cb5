/** Processes and terminals inside an environment, over as many connections as it takes. */
import { AtelierError, makeId, toAtelierError, type Clock, type Random } from '@atelier/api';
import {
  OutputStream,
  ProcessService,
  RunRequestSchema,
  type ProcessOutput,
  type RunRequest,
  type RunResponse,
} from '@atelier/api/atelier/process';
import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { EnvironmentAccess } from './access.ts';
import { isConnectionLoss, Patience } from './patience.ts';
import { ProcessInput } from './process-input.ts';

/** The size of a terminal in characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What to run, and where its output goes. */
export interface RunOptions {
  /** Program and arguments; empty starts the user's login shell. */
  readonly arguments: readonly string[];
  /** Absolute, or relative to the workspace folder, which is also the default. */
  readonly workingDirectory?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** With a size the process gets a terminal instead of pipes. */
  readonly terminal?: Size;
  /** Without it the process finds the end of its input at once; a terminal's input then just stays empty. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  /** Called with the bytes of each stream in their order, nothing lost and nothing doubled; awaited. */
  readonly onOutput: (stream: 'stdout' | 'stderr', data: Uint8Array) => void | Promise<void>;
  /** How long the process lives with nobody attached; the server's own rule without it. */
  readonly unattendedMs?: number;
  /** How long a lost connection may stay away. */
  readonly patienceMs?: number;
  /** Told once when the connection is lost, with the reason, and once when it is there again, without. */
  readonly onConnection?: (lostBecause: AtelierError | undefined) => void;
  /** Detaches; the process goes on by its rule for unattended ones. */
  readonly signal?: AbortSignal;
}

/** How a process ended. */
export interface ProcessEnd {
  /** 128 plus the signal's number when a signal ended it. */
  readonly exitCode: number;
  /** Name of the signal that ended it, or empty. */
  readonly signal: string;
  /** Why it could not be started at all, or empty. */
  readonly failureMessage: string;
}

/** A process that was asked for. */
export interface RunningProcess {
  readonly processId: string;
  /**
   * Its end, after all output was handed over. Errors: `canceled` when the signal was aborted, `unavailable`
   * when the connection stayed away, `data_loss` when output is no longer kept, `failed_precondition` when
   * the environment was stopped or started anew meanwhile.
   */
  readonly ended: Promise<ProcessEnd>;
  resize(size: Size): void;
  /** Sends a signal by name, such as SIGINT, to the whole process group. */
  kill(signal: string): void;
}

/** What {@link runProcess} needs of a client. */
export interface ProcessSource {
  readonly clock: Clock;
  readonly random: Random;
  readonly patienceMs: number;
  access(environmentId: string): EnvironmentAccess;
}

/** Starts a process in an environment and stays with it until its end. */
export function runProcess(
  source: ProcessSource,
  environmentId: string,
  options: RunOptions,
): RunningProcess {
  const run = new Run(source, environmentId, options);
  return {
    processId: run.processId,
    ended: run.follow(),
    resize: (size) => run.input.resize(size),
    kill: (name) => run.input.signal(name),
  };
}

class Run {
  readonly processId: string;
  readonly input = new ProcessInput();
  readonly #environmentId: string;
  readonly #options: RunOptions;
  readonly #access: EnvironmentAccess;
  readonly #patience: Patience;
  readonly #offsets = { stdout: 0n, stderr: 0n };
  #started = false;

  constructor(source: ProcessSource, environmentId: string, options: RunOptions) {
    this.processId = makeId(source.clock.nowMs(), source.random);
    this.#environmentId = environmentId;
    this.#options = options;
    this.#access = source.access(environmentId);
    this.#patience = new Patience(source.clock, options.patienceMs ?? source.patienceMs);
  }

  async follow(): Promise<ProcessEnd> {
    const { signal, onConnection } = this.#options;
    let tokenRefused = false;
    this.#feed();
    for (;;) {
      try {
        const end = await this.#connect();
        if (end) return end;
        throw new AtelierError('unavailable', 'the connection ended before the process did');
      } catch (thrown) {
        const error = this.#explained(toAtelierError(thrown));
        if (signal?.aborted) throw new AtelierError('canceled', 'left the process', { cause: error });
        const refused: boolean = error.code === 'unauthenticated' && !tokenRefused;
        if (!refused && !isConnectionLoss(error)) throw error;
        tokenRefused = refused;
        this.#access.forget();
        if (!this.#patience.isLost && this.#started) onConnection?.(error);
        await this.#patience.wait(this.#unreachable(error), signal);
      }
    }
  }

  #feed(): void {
    const { stdin, terminal } = this.#options;
    const feed = async (): Promise<void> => {
      for await (const data of stdin ?? []) await this.input.write(data);
      if (stdin || !terminal) await this.input.write(new Uint8Array(), true);
    };
    // An input that breaks is an input that ends: the process decides what that means.
    void feed().catch(() => this.input.write(new Uint8Array(), true));
  }

  /** Stays for one connection; undefined when it ended without an end of the process. */
  async #connect(): Promise<ProcessEnd | undefined> {
    const over = new AbortController();
    const { signal } = this.#options;
    const signals = AbortSignal.any(signal ? [signal, over.signal] : [over.signal]);
    const { promise: takenUpTo, resolve } = Promise.withResolvers<bigint>();
    try {
      const processes = await this.#access.service(ProcessService);
      const responses = processes.run(this.#requests(takenUpTo, signals), { signal: signals });
      for await (const response of responses) {
        const end = await this.#take(response, resolve);
        if (end) return end;
      }
      return undefined;
    } finally {
      over.abort();
    }
  }

  async *#requests(takenUpTo: Promise<bigint>, signal: AbortSignal): AsyncGenerator<RunRequest> {
    yield create(RunRequestSchema, { message: this.#first() });
    yield* this.input.requests(takenUpTo, signal);
  }

  #first(): NonNullable<Parameters<typeof create<typeof RunRequestSchema>>[1]>['message'] & object {
    const { processId } = this;
    if (this.#started) {
      const { stdout: stdoutOffset, stderr: stderrOffset } = this.#offsets;
      return { case: 'attach', value: { processId, stdoutOffset, stderrOffset } };
    }
    const { terminal, unattendedMs, workingDirectory = '', environment = {} } = this.#options;
    return {
      case: 'start',
      value: {
        processId,
        arguments: [...this.#options.arguments],
        workingDirectory,
        environment: { ...environment },
        ...(terminal && { terminal }),
        ...(unattendedMs !== undefined && { unattended: durationFromMs(unattendedMs) }),
      },
    };
  }

  async #take({ message }: RunResponse, started: (taken: bigint) => void): Promise<ProcessEnd | undefined> {
    switch (message.case) {
      case 'started':
        if (this.#patience.isLost && this.#started) this.#options.onConnection?.(undefined);
        this.#patience.succeeded();
        this.#started = true;
        this.input.acknowledge(message.value.inputSequence);
        started(message.value.inputSequence);
        return undefined;
      case 'output':
        await this.#output(message.value);
        return undefined;
      case 'inputAcknowledgement':
        this.input.acknowledge(message.value.sequence);
        return undefined;
      case 'exited':
        return message.value;
      default:
        return undefined;
    }
  }

  async #output({ stream, offset, data }: ProcessOutput): Promise<void> {
    const name = stream === OutputStream.STDERR ? 'stderr' : 'stdout';
    const have = this.#offsets[name];
    if (offset > have && !this.#options.terminal) {
      throw new AtelierError(
        'data_loss',
        `${offset - have} bytes of ${name} of process ${this.processId} are no longer kept`,
      );
    }
    const end = offset + BigInt(data.length);
    if (end <= have) return;
    const fresh = offset < have ? data.subarray(Number(have - offset)) : data;
    this.#offsets[name] = end;
    await this.#options.onOutput(name, fresh);
  }

  #unreachable(error: AtelierError): AtelierError {
    const message = `environment ${this.#environmentId} cannot be reached, is its daemon running? ${error.message}`;
    return new AtelierError(error.code, message, { cause: error });
  }

  #explained(error: AtelierError): AtelierError {
    if (error.code !== 'not_found' || !this.#started) return error;
    return new AtelierError(
      'failed_precondition',
      `the process is not there any more: environment ${this.#environmentId} was stopped or started anew`,
      { cause: error },
    );
  }
}
