/** The functions of the C library that are called, and the numbers that they take. */
import type { load } from 'koffi';

/** What is needed of koffi: given, since the program inside an environment has its own copy beside it. */
export interface Koffi {
  readonly load: typeof load;
  errno(): number;
}

/** The functions, loaded once. */
export type Libc = ReturnType<typeof loadLibc>;

/** Loads the C library that this process already runs on. */
export function loadLibc({ load }: Koffi) {
  const libc = load('libc.so.6');
  return {
    pipe2: libc.func('int pipe2(_Out_ int *descriptors, int flags)'),
    spawnp: libc.func(
      'int posix_spawnp(_Out_ int *pid, const char *file, void *actions, void *attributes, const char **words, const char **variables)',
    ),
    waitpid: libc.func('int waitpid(int pid, _Out_ int *status, int options)'),
    initActions: libc.func('int posix_spawn_file_actions_init(void *actions)'),
    addDup: libc.func('int posix_spawn_file_actions_adddup2(void *actions, int from, int to)'),
    addFolder: libc.func('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)'),
    destroyActions: libc.func('int posix_spawn_file_actions_destroy(void *actions)'),
    initAttributes: libc.func('int posix_spawnattr_init(void *attributes)'),
    setFlags: libc.func('int posix_spawnattr_setflags(void *attributes, short flags)'),
    setDefaults: libc.func('int posix_spawnattr_setsigdefault(void *attributes, void *signals)'),
    setMask: libc.func('int posix_spawnattr_setsigmask(void *attributes, void *signals)'),
    fillSignals: libc.func('int sigfillset(void *signals)'),
    emptySignals: libc.func('int sigemptyset(void *signals)'),
  };
}

/** More than glibc's structures of these names take on any architecture. */
export const structureBytes = 512;
/** O_CLOEXEC: no program that this process starts by another way gets the descriptor. */
export const closeOnExec = 0o2000000;
/** Flags of a start: POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSIGMASK, POSIX_SPAWN_SETSID. */
export const spawnFlags = { defaultSignals: 0x4, signalMask: 0x8, ownSession: 0x80 };
/** WNOHANG: waitpid answers at once, with 0 for a process that still runs. */
export const withoutWaiting = 1;
/** EINVAL: the answer to a text that is no text of C. */
export const invalidArgument = 22;
/** ENOEXEC: the answer to an executable file of no format that the kernel knows. */
export const noFormat = 8;
