/** crun, which makes the namespaces of an instance from its bundle. It is told nothing about cgroups. */
import { closeSync, existsSync, fstatSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { run, tryRun } from '../host/run.ts';
import { makeMemoryFile } from '../host/syscalls.ts';
import type { OciHome } from '../home.ts';
import { identify, type ProcessIdentity } from './records.ts';

/** Enters the cgroups whose files come before `--` and becomes what comes after it. */
const enter = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"';

/**
 * The same out of sight of a version 2 hierarchy with controllers beside version 1: crun refuses to work where
 * it sees one, even when it is told to leave cgroups alone.
 */
const enterUnseen = enter.replace('shift; exec', 'shift; umount --lazy "$UNIFIED"; exec');

/** How much of a console is shown in an error. */
const consoleBytes = 2000;

/** What crun is started with. */
export interface CrunStart {
  readonly home: OciHome;
  readonly name: string;
  /** Folder with `config.json`. */
  readonly bundle: string;
  /** Files to write `0` to, so that everything is born inside of the cgroup. */
  readonly cgroupFiles: readonly string[];
  /** Mount point of a version 2 hierarchy that crun must not see, if there is one. */
  readonly hiddenHierarchy?: string | undefined;
}

/**
 * Starts PID 1 of a bundle and gives which process it is. Its output goes to memory that counts as the instance's
 * own: a file of the host would be one that root inside can fill, and a descriptor that leads out. Errors:
 * `internal` with the end of that output.
 */
export async function crunStart(start: CrunStart): Promise<ProcessIdentity> {
  const pidFile = join(start.bundle, 'pid');
  const console = makeMemoryFile('console');
  const shell = start.hiddenHierarchy === undefined ? ['sh', '-c', enter] : unseen(start.hiddenHierarchy);
  const crun = ['crun', '--root', stateFolder(start.home), '--cgroup-manager=disabled', 'run', '--detach'];
  const own = ['--bundle', start.bundle, '--pid-file', pidFile, start.name];
  const [program = 'sh', ...rest] = [...shell, 'sh', ...start.cgroupFiles, '--', ...crun, ...own];
  try {
    const { exitCode } = await tryRun(program, rest, { outputFile: console });
    const process = exitCode === 0 ? identify(Number(readFileSync(pidFile, 'utf8'))) : undefined;
    if (process !== undefined) return process;
    const what = exitCode === 0 ? 'PID 1 ended as soon as it was started' : 'crun failed';
    throw new AtelierError('internal', `${start.name} did not start: ${what}: ${lastWords(console)}`);
  } finally {
    closeSync(console);
  }
}

/** Makes crun forget an instance, killing it when it runs; one that it never knew is success. */
export async function crunDelete(home: OciHome, name: string): Promise<void> {
  const state = join(stateFolder(home), name);
  if (!existsSync(state)) return;
  const deletion = ['--root', stateFolder(home), '--cgroup-manager=disabled', 'delete', '--force', name];
  const { exitCode } = await tryRun('crun', deletion);
  // A state that was half written when crun was killed is no instance to crun, only a folder.
  if (exitCode !== 0 || existsSync(state)) await run('rm', ['-rf', '--', state]);
}

function unseen(hierarchy: string): string[] {
  return ['unshare', '--mount', 'sh', '-c', enterUnseen.replace('$UNIFIED', hierarchy)];
}

/** The end of a console; whoever wrote it may still write. */
function lastWords(console: number): string {
  const { size } = fstatSync(console);
  const text = Buffer.alloc(Math.min(size, consoleBytes));
  const length = readSync(console, text, 0, text.length, size - text.length);
  return text.toString('utf8', 0, length).trim();
}

function stateFolder(home: OciHome): string {
  return join(home.runFolder, 'crun');
}
