/**
 * Programs of the host, started through libc's `posix_spawn`. Node's own spawn copies the page tables of this
 * process and stands still meanwhile: tens of milliseconds in a process of some hundred megabytes, for each of
 * the programs that the start of an instance needs. This shares the memory until the program is there.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { once } from 'node:events';
import { AtelierError } from '@atelier/api';
import koffi from 'koffi';

/** A program that was started. */
export interface StartedProgram {
  readonly pid: number;
  /** Its standard input. */
  readonly input: Socket;
  /** Its standard output and standard error, undefined when they go to a file. */
  readonly output: Socket | undefined;
  readonly errorOutput: Socket | undefined;
  /** Its exit code once it has ended, -1 when a signal ended it. Its output may have more to give then. */
  readonly ended: Promise<number>;
  /** Kills it; nothing when it has ended, since its pid may be somebody else's by then. */
  kill(): void;
}

const libc = koffi.load('libc.so.6');
const pipe2 = libc.func('int pipe2(_Out_ int *descriptors, int flags)');
const spawnp = libc.func(
  'int posix_spawnp(_Out_ int *pid, const char *file, void *actions, void *attributes, const char **words, const char **variables)',
);
const waitpid = libc.func('int waitpid(int pid, _Out_ int *status, int options)');
const initActions = libc.func('int posix_spawn_file_actions_init(void *actions)');
const addDup = libc.func('int posix_spawn_file_actions_adddup2(void *actions, int from, int to)');
const addFolder = libc.func('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)');
const destroyActions = libc.func('int posix_spawn_file_actions_destroy(void *actions)');
const initAttributes = libc.func('int posix_spawnattr_init(void *attributes)');
const setFlags = libc.func('int posix_spawnattr_setflags(void *attributes, short flags)');
const setDefaults = libc.func('int posix_spawnattr_setsigdefault(void *attributes, void *signals)');
const setMask = libc.func('int posix_spawnattr_setsigmask(void *attributes, void *signals)');
const fillSignals = libc.func('int sigfillset(void *signals)');
const emptySignals = libc.func('int sigemptyset(void *signals)');

/** More than glibc's structures of these names take on any architecture. */
const structureBytes = 512;
const closeOnExec = 0o2000000;
const defaultSignals = 0x4;
const signalMask = 0x8;
const absent = 2;

/** Variables that a program of the host is given: none of this process's own. */
const variables = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'LC_ALL=C',
  // The end of the list.
  null,
];

/**
 * Starts a program in the root folder. With `outputFile` both of its outputs go to that open file. Errors:
 * `failed_precondition` when the program is not there, `internal` when the kernel refuses.
 */
export function startProgram(program: string, words: readonly string[], outputFile?: number): StartedProgram {
  const mine: number[] = [];
  const theirs: number[] = [];
  const pipe = (): { readonly read: number; readonly write: number } => {
    const descriptors = [0, 0];
    if (pipe2(descriptors, closeOnExec) !== 0) throw refused(program, koffi.errno());
    const [read = -1, write = -1] = descriptors;
    return { read, write };
  };
  const open = (ours: 'read' | 'write'): number => {
    const made = pipe();
    mine.push(made[ours]);
    theirs.push(ours === 'read' ? made.write : made.read);
    return theirs.at(-1) ?? -1;
  };
  try {
    // Never the host's /dev/null: crun gives its standard streams to root inside, and that would be the device.
    const input = open('write');
    const output = outputFile ?? open('read');
    const errorOutput = outputFile ?? open('read');
    // The fourth is never written to: it ends when the program has ended, and that is how its end is seen.
    const life = open('read');
    const pid = spawn(program, words, [input, output, errorOutput, life]);
    const sockets = mine
      .splice(0)
      .map((fd, index) => new Socket({ fd, readable: index > 0, writable: index === 0 }));
    const [first, ...reading] = sockets;
    const end = reading.pop();
    if (first === undefined || end === undefined) throw refused(program, 0);
    return { pid, input: first, output: reading[0], errorOutput: reading[1], ...watched(pid, end) };
  } finally {
    for (const descriptor of [...mine, ...theirs]) closeSync(descriptor);
  }
}

function spawn(program: string, words: readonly string[], descriptors: readonly number[]): number {
  const actions = Buffer.alloc(structureBytes);
  const attributes = Buffer.alloc(structureBytes);
  const signals = Buffer.alloc(structureBytes);
  initActions(actions);
  initAttributes(attributes);
  try {
    for (const [target, descriptor] of descriptors.entries()) addDup(actions, descriptor, target);
    addFolder(actions, '/');
    // This process ignores SIGPIPE, and what is ignored would stay so in the program.
    setFlags(attributes, defaultSignals | signalMask);
    fillSignals(signals);
    setDefaults(attributes, signals);
    emptySignals(signals);
    setMask(attributes, signals);
    const pid = [0];
    const failure = spawnp(pid, program, actions, attributes, [program, ...words, null], variables) as number;
    if (failure !== 0) throw refused(program, failure);
    return pid[0] ?? -1;
  } finally {
    destroyActions(actions);
  }
}

function watched(pid: number, life: Socket): Pick<StartedProgram, 'ended' | 'kill'> {
  let isReaped = false;
  const reap = async (): Promise<number> => {
    life.resume();
    await once(life, 'close');
    isReaped = true;
    const status = [0];
    // It has closed its last file, so there is next to nothing to wait for; and that not in this thread.
    await new Promise<void>((resolve) => waitpid.async(pid, status, 0, () => resolve()));
    const [value = 0] = status;
    return (value & 0x7f) === 0 ? (value >> 8) & 0xff : -1;
  };
  return {
    ended: reap(),
    kill() {
      if (!isReaped) process.kill(pid, 'SIGKILL');
    },
  };
}

function refused(program: string, errno: number): AtelierError {
  if (errno === absent) {
    const message = `${program} cannot be started: install it, or see the doctor command`;
    return new AtelierError('failed_precondition', message);
  }
  return new AtelierError(
    'internal',
    `${program} cannot be started: the kernel answered with errno ${errno}`,
  );
}
