/**
 * Processes, started through libc's `posix_spawn`. Node's own spawn copies the page tables of this process and
 * stands still meanwhile: some fifteen milliseconds in a small process and far more in one of some hundred
 * megabytes. This shares the memory until the program is there.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import {
  closeOnExec,
  invalidArgument,
  loadLibc,
  noFormat,
  spawnFlags,
  structureBytes,
  withoutWaiting,
} from './libc.ts';
import type { Koffi, Libc } from './libc.ts';

/** What is started, with what, where. */
export interface ProcessStart {
  /** A path, or a name that is looked for in the PATH of this process. */
  readonly program: string;
  /** Its arguments, without its name. */
  readonly words: readonly string[];
  /** All of its variables: none comes from this process. */
  readonly variables: Readonly<Record<string, string>>;
  /** Absolute path of its working directory. */
  readonly folder: string;
  /** Leads a session and with it a process group of its own. */
  readonly ownSession?: boolean;
  /** An open file for both of its outputs, instead of pipes. */
  readonly outputFile?: number | undefined;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly exitCode: number;
  /** Number of the signal that ended it; 0 when it exited by itself. */
  readonly signal: number;
}

/** A process that was started. */
export interface StartedProcess {
  readonly pid: number;
  /** Its standard input. */
  readonly input: Socket;
  /** Its standard output and standard error, undefined when they go to a file. */
  readonly output: Socket | undefined;
  readonly errorOutput: Socket | undefined;
  /** Never rejects. Its output may have more to give then. */
  readonly ended: Promise<ProcessEnd>;
  /** Kills it; nothing when it has ended, since its pid may be somebody else's by then. */
  kill(): void;
}

/** The kernel's number for why nothing was started, such as 2 (ENOENT) when the program or the folder is not there. */
export interface StartFailure {
  readonly errno: number;
}

/** Starts a process, or says by which number the kernel refused it; throws nothing. */
export type Starter = (start: ProcessStart) => StartedProcess | StartFailure;

/** Makes the starter of this process; koffi's native part is loaded by whoever calls. */
export function makeStarter(koffi: Koffi): Starter {
  const libc = loadLibc(koffi);
  const children = new Children(libc);
  return (start) => {
    // In C it ends the text: the program would be given another one than was meant.
    if (textsOf(start).some((text) => text.includes('\0'))) return { errno: invalidArgument };
    const pipes = new Pipes(koffi, libc);
    try {
      // Never this process's own standard streams: what holds them could write to where this process writes.
      const input = pipes.open('write');
      const output = start.outputFile ?? pipes.open('read');
      const errorOutput = start.outputFile ?? pipes.open('read');
      if (pipes.errno !== 0) return { errno: pipes.errno };
      const started = children.start(() => spawn(libc, start, [input, output, errorOutput]));
      if ('errno' in started) return started;
      const [first, second, third] = pipes.take();
      return { ...started, input: first!, output: second, errorOutput: third };
    } finally {
      pipes.close();
    }
  };
}

function textsOf({ program, words, variables, folder }: ProcessStart): string[] {
  return [program, folder, ...words, ...Object.entries(variables).flat()];
}

/** The pipes of one start. */
class Pipes {
  errno = 0;
  readonly #koffi: Koffi;
  readonly #libc: Libc;
  readonly #mine: { readonly fd: number; readonly readable: boolean }[] = [];
  readonly #theirs: number[] = [];

  constructor(koffi: Koffi, libc: Libc) {
    this.#koffi = koffi;
    this.#libc = libc;
  }

  /** Opens one of which this process has the end that is named; gives the other end. */
  open(ours: 'read' | 'write'): number {
    const ends = [-1, -1];
    if (this.#libc.pipe2(ends, closeOnExec) !== 0) {
      this.errno = this.#koffi.errno();
      return -1;
    }
    const [read = -1, write = -1] = ends;
    const readable = ours === 'read';
    this.#mine.push({ fd: readable ? read : write, readable });
    this.#theirs.push(readable ? write : read);
    return this.#theirs.at(-1)!;
  }

  /** This process's ends, which `close` leaves alone from now on. */
  take(): Socket[] {
    return this.#mine.splice(0).map(({ fd, readable }) => new Socket({ fd, readable, writable: !readable }));
  }

  close(): void {
    for (const descriptor of [...this.#mine.map(({ fd }) => fd), ...this.#theirs]) closeSync(descriptor);
  }
}

/** Those that run, each reaped when it ends. */
class Children {
  readonly #libc: Libc;
  readonly #running = new Map<number, (end: ProcessEnd) => void>();
  // A signal that is waited for does not keep a program alive, and one that waits for a child has to be.
  readonly #wait = new MessageChannel().port1;
  #isListening = false;
  // One signal may stand for several ends, so each is asked. Node's own children are not among them.
  readonly #reap = (): void => {
    for (const [pid, tell] of this.#running) {
      const status = [0];
      if (this.#libc.waitpid(pid, status, withoutWaiting) === 0) continue;
      this.#running.delete(pid);
      const [value = 0] = status;
      tell({ exitCode: (value >> 8) & 0xff, signal: value & 0x7f });
    }
    this.#listen();
  };

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  start(spawning: () => Spawned): Pick<StartedProcess, 'pid' | 'ended' | 'kill'> | StartFailure {
    const spawned = spawning();
    if ('errno' in spawned) return spawned;
    const { pid } = spawned;
    const ended = new Promise<ProcessEnd>((resolve) => this.#running.set(pid, resolve));
    this.#listen();
    return {
      pid,
      ended,
      kill: () => void (this.#running.has(pid) && process.kill(pid, 'SIGKILL')),
    };
  }

  #listen(): void {
    const isWaiting = this.#running.size > 0;
    if (isWaiting === this.#isListening) return;
    this.#isListening = isWaiting;
    if (isWaiting) {
      this.#wait.ref();
      process.on('SIGCHLD', this.#reap);
      // What ended before anybody listened.
      this.#reap();
    } else {
      this.#wait.unref();
      process.off('SIGCHLD', this.#reap);
    }
  }
}

type Spawned = { readonly pid: number } | StartFailure;

function spawn(libc: Libc, start: ProcessStart, descriptors: readonly number[]): Spawned {
  const actions = Buffer.alloc(structureBytes);
  const attributes = Buffer.alloc(structureBytes);
  const signals = Buffer.alloc(structureBytes);
  libc.initActions(actions);
  libc.initAttributes(attributes);
  try {
    for (const [target, descriptor] of descriptors.entries()) libc.addDup(actions, descriptor, target);
    libc.addFolder(actions, start.folder);
    const { defaultSignals, signalMask, ownSession } = spawnFlags;
    // This process ignores SIGPIPE, and what is ignored would stay so in the program.
    libc.setFlags(attributes, defaultSignals | signalMask | (start.ownSession === true ? ownSession : 0));
    libc.fillSignals(signals);
    libc.setDefaults(attributes, signals);
    libc.emptySignals(signals);
    libc.setMask(attributes, signals);
    const variables = Object.entries(start.variables).map(([name, value]) => `${name}=${value}`);
    const run = (program: string, words: readonly string[]): Spawned => {
      const pid = [0];
      const list = [program, ...words, null];
      const errno = libc.spawnp(pid, program, actions, attributes, list, [...variables, null]) as number;
      return errno === 0 ? { pid: pid[0]! } : { errno };
    };
    const spawned = run(start.program, start.words);
    // A script without a first line that names its shell, as execvp takes it.
    const isScript = 'errno' in spawned && spawned.errno === noFormat;
    return isScript ? run('/bin/sh', [start.program, ...start.words]) : spawned;
  } finally {
    libc.destroyActions(actions);
  }
}
