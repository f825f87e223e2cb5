/**
 * The system calls that Node does not offer, made in this process through libc: mounts take a millisecond so,
 * and a program that was started for each of them takes ten.
 */
import { constants } from 'node:os';
import { AtelierError, type ErrorCode } from '@atelier/api';
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const anySyscall = {
  path: libc.func('syscall', 'long', ['long', 'int', 'str', 'uint']),
  openHow: libc.func('syscall', 'long', ['long', 'int', 'str', 'void *', 'size_t']),
  move: libc.func('syscall', 'long', ['long', 'int', 'str', 'int', 'str', 'uint']),
  attributes: libc.func('syscall', 'long', ['long', 'int', 'str', 'uint', 'void *', 'size_t']),
};
const libcMount = libc.func('mount', 'int', ['str', 'str', 'str', 'ulong', 'str']);
const libcUnmount = libc.func('umount2', 'int', ['str', 'int']);
const libcMkdirAt = libc.func('mkdirat', 'int', ['int', 'str', 'uint']);
const libcMknodAt = libc.func('mknodat', 'int', ['int', 'str', 'uint', 'ulong']);
const libcUnlinkAt = libc.func('unlinkat', 'int', ['int', 'str', 'int']);
const libcSetFsUid = libc.func('setfsuid', 'int', ['uint']);
const libcSetFsGid = libc.func('setfsgid', 'int', ['uint']);
const libcMemfdCreate = libc.func('memfd_create', 'int', ['str', 'uint']);
const libcCapGet = libc.func('capget', 'int', ['void *', 'void *']);
const libcCapSet = libc.func('capset', 'int', ['void *', 'void *']);

/** Numbers of the calls; from 424 on they are the same on every architecture. */
const numbers = { openTree: 428, moveMount: 429, openAt2: 437, mountSetAttr: 442 } as const;
const currentFolder = -100;
const emptyPath = 0x1000;
const closeOnExec = 0o2000000;
const pathOnly = 0o10000000;

/** Flags of a mount that `setAttributes` can set. */
export const mountAttributes = { readOnly: 1, noSetuid: 2, noDevices: 4, noExecution: 8 } as const;

/** Flags of the classic mount call. */
export const mountFlags = { noDevices: 4, bind: 4096 } as const;

const codes: Partial<Record<string, ErrorCode>> = {
  ENOSPC: 'resource_exhausted',
  ENOMEM: 'resource_exhausted',
  EDQUOT: 'resource_exhausted',
  EPERM: 'failed_precondition',
  EINVAL: 'failed_precondition',
  ENOSYS: 'failed_precondition',
};

function errnoName(): string {
  const number = koffi.errno();
  return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
}

function checked(result: number, what: string): number {
  if (result >= 0) return result;
  const name = errnoName();
  throw new AtelierError(codes[name] ?? 'internal', `${what}: the kernel answered ${name}`, {
    cause: { code: name },
  });
}

/** The name of the errno, such as ENOENT, in an error of this file or of `node:fs`; undefined in any other. */
export function errnoOf(error: unknown): string | undefined {
  const source = error instanceof AtelierError ? error.cause : error;
  const code = (source as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** A detached copy of the mount that shows `path`, submounts left out; the descriptor is the caller's to close. */
export function openTree(path: string): number {
  const clone = 1;
  return checked(
    anySyscall.path(numbers.openTree, currentFolder, path, clone | closeOnExec),
    `copying the mount of ${path}`,
  );
}

/** Sets {@link mountAttributes} on a detached mount and, with a user namespace, shows its ids as mapped there. */
export function setAttributes(tree: number, attributes: number, userNamespace?: number): void {
  const idMapped = 0x100000;
  const argument = Buffer.alloc(32);
  argument.writeBigUInt64LE(BigInt(attributes + (userNamespace === undefined ? 0 : idMapped)), 0);
  argument.writeBigUInt64LE(BigInt(userNamespace ?? 0), 24);
  checked(
    anySyscall.attributes(numbers.mountSetAttr, tree, '', emptyPath, argument, argument.length),
    'changing a mount (ids are mapped by Linux 5.12 and later, on ext4, btrfs and xfs)',
  );
}

/** Attaches a detached mount at an open file or folder. */
export function attachTree(tree: number, target: number): void {
  const emptyFrom = 0x4;
  const emptyTo = 0x40;
  checked(anySyscall.move(numbers.moveMount, tree, '', target, '', emptyFrom | emptyTo), 'attaching a mount');
}

/**
 * Opens a path below a folder, without the right to read or write it. No link and no `..` leads out of the
 * folder: absolute links are followed as if the folder were the root. `follow` says whether the last part
 * may be a link.
 */
export function openInside(folder: number, path: string, follow = true): number {
  const resolveInRoot = 0x10;
  const noMagicLinks = 0x2;
  const noFollow = 0o400000;
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(pathOnly | closeOnExec | (follow ? 0 : noFollow)), 0);
  how.writeBigUInt64LE(BigInt(resolveInRoot | noMagicLinks), 16);
  return checked(
    anySyscall.openHow(numbers.openAt2, folder, path === '' ? '.' : path, how, how.length),
    `opening ${path}`,
  );
}

/** Makes a folder in an open folder. */
export function makeFolderAt(folder: number, name: string): void {
  checked(libcMkdirAt(folder, name, 0o755), `making the folder ${name}`);
}

/** Makes an empty file in an open folder. */
export function makeFileAt(folder: number, name: string): void {
  checked(libcMknodAt(folder, name, 0o100644, 0), `making the file ${name}`);
}

/** Takes a file or link out of an open folder. */
export function unlinkAt(folder: number, name: string): void {
  checked(libcUnlinkAt(folder, name, 0), `removing ${name}`);
}

/** Makes a file that is only memory, of whoever writes it, and gives it opened. `name` is for people who look. */
export function makeMemoryFile(name: string): number {
  const closedByPrograms = 1;
  return checked(libcMemfdCreate(name, closedByPrograms), 'making a file in memory');
}

/** The classic mount call. `options` end at one page. */
export function mount(source: string, target: string, type: string, flags: number, options: string): void {
  checked(libcMount(source, target, type, flags, options), `mounting ${type} at ${target}`);
}

/** Takes a mount and what lies on it away, at once for new users; one that is not there is success. */
export function unmount(target: string): void {
  const detach = 2;
  const noFollow = 8;
  if (libcUnmount(target, detach | noFollow) >= 0) return;
  const name = errnoName();
  if (name === 'EINVAL' || name === 'ENOENT') return;
  throw new AtelierError('internal', `unmounting ${target}: the kernel answered ${name}`);
}

/**
 * Runs `work` as the owner `id` of what it makes, with the capabilities of this process. It must not wait:
 * only this thread changes, and only until `work` returns.
 */
export function asOwner<T>(id: number, work: () => T): T {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x20080522, 0);
  const capabilities = Buffer.alloc(24);
  checked(libcCapGet(header, capabilities), 'reading the capabilities of this process');
  libcSetFsGid(id);
  libcSetFsUid(id);
  try {
    checked(libcCapSet(header, capabilities), 'keeping the capabilities of this process');
    return work();
  } finally {
    libcSetFsUid(0);
    libcSetFsGid(0);
    libcCapSet(header, capabilities);
  }
}
