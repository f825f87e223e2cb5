/** From what is wanted to what is executed: user, program, folder and variables, checked before anything starts. */
import { accessSync, constants, statSync } from 'node:fs';
import { basename, isAbsolute, join, resolve } from 'node:path';
import type { Machine } from '../machine.ts';
import { resolveUser, type User } from '../users.ts';

/** What shall run, where, with what, and as whom. */
export interface Launch {
  /** Program and arguments; empty means the login shell of the user. */
  readonly arguments: readonly string[];
  /** Absolute. */
  readonly workingDirectory: string;
  /** Variables above the user's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** As in {@link resolveUser}. */
  readonly user: string;
  /** Columns and rows; without them the process gets pipes. */
  readonly terminal?: { readonly columns: number; readonly rows: number } | undefined;
}

/** What is given to the kernel. */
export interface PreparedLaunch {
  readonly file: string;
  readonly arguments: readonly string[];
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** What the arguments are for people, the login shell included. */
  readonly shown: readonly string[];
}

/** Why something cannot be started; the codes are those that a shell uses. */
export interface LaunchFailure {
  /** 127: not there; 126: there, but it cannot be executed. */
  readonly exitCode: number;
  readonly failure: string;
}

const pathDefault = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const loginShells = new Set(['bash', 'sh', 'dash', 'ash', 'zsh', 'ksh', 'fish']);

/** Checks a launch and says what to execute, or why that cannot work. */
export function prepareLaunch(machine: Machine, launch: Launch): PreparedLaunch | LaunchFailure {
  const user = resolveUser(machine, launch.user);
  if ('failure' in user) return { exitCode: 126, failure: user.failure };
  const { workingDirectory } = launch;
  if (!isFolder(workingDirectory)) {
    return { exitCode: 126, failure: `The working directory ${workingDirectory} is not there.` };
  }
  const shell = shellOf(user);
  const environment = variablesOf(machine, user, shell, launch);
  const wanted = launch.arguments.length > 0 ? [...launch.arguments] : loginShellOf(shell);
  const [program, ...rest] = wanted;
  if (program === undefined) {
    return { exitCode: 127, failure: 'The image has no shell: name a program that it has.' };
  }
  const found = findProgram(program, environment['PATH'] ?? pathDefault, workingDirectory);
  if (typeof found !== 'string') return found;
  const switching = becomes(machine, user);
  if (typeof switching !== 'object') return { exitCode: 126, failure: switching };
  const [file, ...before] = [...switching, found];
  return { file: file!, arguments: [...before, ...rest], workingDirectory, environment, shown: wanted };
}

/** The shell that runs scripts for people: of passwd if the image has it, else the usual ones, or none. */
function shellOf(user: User): string | undefined {
  return [user.shell, '/bin/bash', '/bin/sh'].find((path) => path !== '' && isExecutable(path));
}

function loginShellOf(shell: string | undefined): string[] {
  if (shell === undefined) return [];
  return loginShells.has(basename(shell)) ? [shell, '-l'] : [shell];
}

function variablesOf(
  machine: Machine,
  user: User,
  shell: string | undefined,
  launch: Launch,
): Record<string, string> {
  const inherited = Object.entries(machine.variables).filter(
    ([name]) => !name.startsWith('LD_') && !name.startsWith('ATELIER_'),
  );
  const variables: Record<string, string> = {
    PATH: pathDefault,
    ...Object.fromEntries(inherited),
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    ...(shell === undefined ? {} : { SHELL: shell }),
    ...(launch.terminal === undefined ? {} : { TERM: 'xterm-256color' }),
    PWD: launch.workingDirectory,
    ...launch.environment,
  };
  // A name with "=" or a NUL would become another variable, or end the list.
  return Object.fromEntries(
    Object.entries(variables).filter(([name, value]) => /^[^=\0]+$/.test(name) && !value.includes('\0')),
  );
}

// The loader of the image and our own differ, and so do users: `chroot` of the bundle becomes the user and
// executes the program as the same process. By numbers with a plus sign it asks no NSS module.
function becomes(machine: Machine, user: User): readonly string[] | string {
  const own = { userId: process.geteuid?.() ?? 0, groupId: process.getegid?.() ?? 0 };
  if (own.userId === user.userId && (own.groupId === user.groupId || own.userId !== 0)) return [];
  if (own.userId !== 0) return `Only root can become ${user.name}.`;
  const groups = user.groups.map((group) => `+${group}`).join(',');
  const specification = `--userspec=+${user.userId}:+${user.groupId}`;
  return [...machine.switchUser, specification, `--groups=${groups}`, '--skip-chdir', '/'];
}

function findProgram(program: string, path: string, workingDirectory: string): string | LaunchFailure {
  if (program === '') return { exitCode: 127, failure: 'The name of the program is empty.' };
  if (program.includes('\0')) return { exitCode: 127, failure: 'The name of the program has a NUL byte.' };
  if (program.includes('/')) {
    const absolute = isAbsolute(program) ? program : resolve(workingDirectory, program);
    if (isExecutable(absolute)) return absolute;
    return exists(absolute)
      ? { exitCode: 126, failure: `${program} is not an executable file.` }
      : { exitCode: 127, failure: `${program} is not there.` };
  }
  for (const folder of path.split(':')) {
    const candidate = join(resolve(workingDirectory, folder), program);
    if (isExecutable(candidate)) return candidate;
  }
  return { exitCode: 127, failure: `${program} was not found in PATH (${path}).` };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Whether a folder is there, links followed. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
