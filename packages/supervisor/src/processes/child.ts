/** A child process with pipes or a terminal, both behind one small interface. Each is a process group of its own. */
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { ReadStream } from 'node:tty';
import type { Readable, Writable } from 'node:stream';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import { AtelierError } from '@atelier/api';
import { messageOf, systemCodeOf, type Machine } from '../machine.ts';
import type { LaunchFailure, PreparedLaunch } from './launch.ts';

/** The name of an output of a child; a terminal has only stdout. */
export type OutputName = 'stdout' | 'stderr';

/** How a child ended, as a shell would say it. */
export interface ChildExit {
  /** 128 plus the number of the signal when one ended it. */
  readonly exitCode: number;
  /** Such as SIGKILL; empty when it exited by itself. */
  readonly signal: string;
}

/** A running child process: what can be done to it. */
export interface Child {
  readonly pid: number;
  /** Resolves when the bytes were taken, or the child takes none any more. Never rejects. */
  write(data: Uint8Array): Promise<void>;
  /** Closes the standard input; a terminal gets an end-of-file character. */
  end(): void;
  resize(columns: number, rows: number): void;
  /** Stops and continues reading an output; what is not read blocks the child. */
  setPaused(name: OutputName, paused: boolean): void;
  /** Reads on and throws away, after nobody is interested any more. */
  discard(): void;
}

/** What a child tells. Output that comes after `onExit` is not reported. */
export interface ChildListener {
  onOutput(name: OutputName, data: Buffer): void;
  onExit(exit: ChildExit): void;
}

/** How long an ended child's outputs may be silent before they count as over: a grandchild may hold them open. */
const silenceMs = 200;

/** Starts a child, or says why it cannot be started. */
export function startChild(
  machine: Machine,
  launch: PreparedLaunch,
  terminal: { readonly columns: number; readonly rows: number } | undefined,
  listener: ChildListener,
): Child | LaunchFailure {
  try {
    return terminal
      ? startTerminal(machine, launch, terminal, listener)
      : startPipes(machine, launch, listener);
  } catch (thrown) {
    return failureOf(launch, systemCodeOf(thrown), messageOf(thrown));
  }
}

/** Sends a signal to a child's whole process group; false when nothing of it is left. */
export function signalGroup(pid: number, signal: string): boolean {
  try {
    process.kill(-pid, signalNumber(signal));
    return true;
  } catch (thrown) {
    if (systemCodeOf(thrown) === 'ESRCH') return false;
    throw new AtelierError('failed_precondition', `Cannot send ${signal} to ${pid}: ${messageOf(thrown)}`);
  }
}

/** The number of a signal such as SIGINT; `invalid_argument` for anything else. */
export function signalNumber(signal: string): number {
  const number = Object.hasOwn(constants.signals, signal)
    ? constants.signals[signal as NodeJS.Signals]
    : undefined;
  if (number === undefined) {
    throw new AtelierError(
      'invalid_argument',
      `${JSON.stringify(signal)} is no signal; use a name such as SIGINT.`,
    );
  }
  return number;
}

function failureOf(launch: PreparedLaunch, code: string, reason: string): LaunchFailure {
  const exitCode = code === 'ENOENT' ? 127 : 126;
  return { exitCode, failure: `Cannot start ${launch.shown[0] ?? ''}: ${reason}` };
}

function startPipes(
  machine: Machine,
  launch: PreparedLaunch,
  listener: ChildListener,
): Child | LaunchFailure {
  const started = machine.startProcess({
    program: launch.file,
    words: launch.arguments,
    variables: launch.environment,
    folder: launch.workingDirectory,
    ownSession: true,
  });
  if ('errno' in started) {
    const { errno } = started;
    return failureOf(launch, getSystemErrorName(-errno), getSystemErrorMessage(-errno));
  }
  const { pid, input } = started;
  const outputs = { stdout: started.output!, stderr: started.errorOutput! };
  const { stdout, stderr } = outputs;
  input.on('error', () => {});
  const drain = new Drain(machine, [stdout, stderr], listener);
  stdout.on('data', (data: Buffer) => drain.output('stdout', data));
  stderr.on('data', (data: Buffer) => drain.output('stderr', data));
  void started.ended.then(({ exitCode, signal }) => drain.exited(exitOf(exitCode, signal)));
  return {
    pid,
    write: (data) => writeTo(input, data),
    end: () => void input.end(),
    resize() {
      throw new AtelierError('failed_precondition', 'The process has no terminal that could be resized.');
    },
    setPaused: (name, paused) => void (paused ? outputs[name].pause() : outputs[name].resume()),
    discard: () => void (stdout.resume(), stderr.resume()),
  };
}

function startTerminal(
  machine: Machine,
  launch: PreparedLaunch,
  size: { readonly columns: number; readonly rows: number },
  listener: ChildListener,
): Child {
  const variables = Object.entries(launch.environment).map(([name, value]) => `${name}=${value}`);
  const addon = machine.terminalAddon();
  const { columns, rows } = size;
  let drain: Drain | undefined;
  const onExit = (code: number, signal: number): void => {
    drain?.exited(exitOf(code, signal));
  };
  const { fd, pid } = addon.fork(
    launch.file,
    launch.arguments,
    variables,
    launch.workingDirectory,
    columns,
    rows,
    -1,
    -1,
    false,
    '',
    onExit,
  );
  let stream: ReadStream;
  try {
    stream = new ReadStream(fd);
  } catch (thrown) {
    closeSync(fd);
    signalGroup(pid, 'SIGKILL');
    throw thrown;
  }
  drain = new Drain(machine, [stream], listener);
  // The end of a terminal is the error EIO, after the last byte was read.
  stream.on('error', () => stream.destroy());
  stream.on('data', (data: Buffer) => drain.output('stdout', data));
  return {
    pid,
    write: (data) => writeTo(stream, data),
    end: () => void writeTo(stream, Uint8Array.of(4)),
    resize: (columns, rows) => stream.destroyed || addon.resize(fd, columns, rows),
    setPaused: (_name, paused) => void (paused ? stream.pause() : stream.resume()),
    discard: () => void stream.resume(),
  };
}

function exitOf(code: number, signal: number): ChildExit {
  if (signal === 0) return { exitCode: code, signal: '' };
  // Those for real-time programs have numbers only.
  const [name] = Object.entries(constants.signals).find(([, number]) => number === signal) ?? [
    `SIG${signal}`,
  ];
  return { exitCode: 128 + signal, signal: name };
}

function writeTo(stream: Writable, data: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || !stream.writable) return resolve();
    const done = (): void => {
      stream.off('close', done);
      resolve();
    };
    stream.once('close', done);
    stream.write(data, done);
  });
}

/** Reports the exit after the last output: when all outputs are over, or silent though they are being read. */
class Drain {
  readonly #machine: Machine;
  readonly #outputs: readonly Readable[];
  readonly #listener: ChildListener;
  #exit: ChildExit | undefined;
  #heard = 0;
  #open: number;
  #reported = false;

  constructor(machine: Machine, outputs: readonly Readable[], listener: ChildListener) {
    this.#machine = machine;
    this.#outputs = outputs;
    this.#listener = listener;
    this.#open = outputs.length;
    for (const output of outputs) {
      output.once('close', () => {
        this.#open -= 1;
        if (this.#open === 0) this.#report();
      });
    }
  }

  output(name: OutputName, data: Buffer): void {
    this.#heard += data.length;
    if (!this.#reported) this.#listener.onOutput(name, data);
  }

  exited(exit: ChildExit): void {
    this.#exit = exit;
    if (this.#open === 0) this.#report();
    else this.#watch(this.#heard);
  }

  #watch(heardBefore: number): void {
    this.#machine.clock.timer(silenceMs, () => {
      // After a stall the time is over before anything was read: what is there now is read before the immediate.
      setImmediate(() => this.#judge(heardBefore));
    });
  }

  #judge(heardBefore: number): void {
    if (this.#reported) return;
    const reading = this.#outputs.every((output) => output.destroyed || !output.isPaused());
    if (reading && this.#heard === heardBefore) this.#report();
    else this.#watch(this.#heard);
  }

  #report(): void {
    if (this.#reported || !this.#exit) return;
    this.#reported = true;
    this.#listener.onExit(this.#exit);
  }
}
