/** crun, which makes the namespaces of an instance from its bundle. It is told nothing about cgroups. */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { run, tryRun } from '../host/run.ts';
import type { OciHome } from '../home.ts';

/** Enters the cgroups whose files come before `--` and becomes what comes after it. */
const enter = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"';

/**
 * The same out of sight of a version 2 hierarchy with controllers beside version 1: crun refuses to work where
 * it sees one, even when it is told to leave cgroups alone.
 */
const enterUnseen = enter.replace('shift; exec', 'shift; umount --lazy "$UNIFIED"; exec');

/** How much of a console is shown in an error. */
const consoleCharacters = 2000;

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
 * Starts PID 1 of a bundle and gives its pid. Its output goes to `console.log` in the bundle folder.
 * Errors: `internal` with the end of that output.
 */
export async function crunStart(start: CrunStart): Promise<number> {
  const pidFile = join(start.bundle, 'pid');
  const consoleFile = join(start.bundle, 'console.log');
  const console = openSync(consoleFile, 'w', 0o600);
  const shell = start.hiddenHierarchy === undefined ? ['sh', '-c', enter] : unseen(start.hiddenHierarchy);
  const crun = ['crun', '--root', stateFolder(start.home), '--cgroup-manager=disabled', 'run', '--detach'];
  const own = ['--bundle', start.bundle, '--pid-file', pidFile, start.name];
  const [program = 'sh', ...rest] = [...shell, 'sh', ...start.cgroupFiles, '--', ...crun, ...own];
  try {
    const { exitCode } = await tryRun(program, rest, { outputFile: console });
    if (exitCode === 0) return Number(readFileSync(pidFile, 'utf8'));
  } finally {
    closeSync(console);
  }
  const words = readFileSync(consoleFile, 'utf8').slice(-consoleCharacters).trim();
  throw new AtelierError('internal', `crun did not start ${start.name}: ${words}`);
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

function stateFolder(home: OciHome): string {
  return join(home.runFolder, 'crun');
}
