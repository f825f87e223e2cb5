/** The programs that simulated processes can run. */
import { posix } from 'node:path';
import type { SimulatedFiles, SimulatedRepository } from './workspace.ts';

/** One run of a program. */
export interface ProgramCall {
  /** Program and arguments. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly files: SimulatedFiles;
  /** Everything that was written to its standard input before that was closed. */
  readonly input: string;
  /** Repositories by clone URL; see `repositoryAt`. */
  readonly repositories: ReadonlyMap<string, SimulatedRepository>;
}

/** How a run of a program ends, and after how long. */
export interface ProgramResult {
  readonly exitCode: number;
  readonly stdout?: string | undefined;
  readonly stderr?: string | undefined;
  /** How long it takes; the behaviour's `programMs` when it is left out. */
  readonly tookMs?: number | undefined;
}

/** A program: what it does happens at its end, at once. */
export interface SimulatedProgram {
  /** Waits for the end of its standard input before it begins. */
  readonly readsInput?: boolean | undefined;
  run(call: ProgramCall): ProgramResult;
}

const succeeded: ProgramResult = { exitCode: 0 };

/** The built-in programs by name. */
export const builtInPrograms: Readonly<Record<string, SimulatedProgram>> = {
  true: { run: () => succeeded },
  false: { run: () => ({ exitCode: 1 }) },
  echo: { run: ({ arguments: [, ...words] }) => ({ exitCode: 0, stdout: `${words.join(' ')}\n` }) },
  sleep: {
    run: ({ arguments: [, seconds] }) => ({ exitCode: 0, tookMs: Number(seconds ?? 0) * 1000 }),
  },
  env: { run: ({ environment }) => ({ exitCode: 0, stdout: printEnvironment(environment) }) },
  cat: { readsInput: true, run: printFiles },
  ls: {
    run({ arguments: [, ...words], files }) {
      const folder = words.find((word) => !word.startsWith('-')) ?? '.';
      const names = new Set(files.list(folder).map((path) => path.split('/')[0]));
      if (names.size === 0) return { exitCode: 2, stderr: `ls: ${folder}: No such file or directory\n` };
      return { exitCode: 0, stdout: [...names].map((name) => `${name}\n`).join('') };
    },
  },
  test: {
    run({ arguments: [, option, path = ''], files }) {
      const found = option === '-d' ? files.list(path).length > 0 : files.read(path) !== undefined;
      return { exitCode: found ? 0 : 1 };
    },
  },
  git: { run: runGit },
  sh: { run: runShell },
};

/** The program of this name (a path counts by its last part); `undefined` when there is none. */
export function findProgram(
  name: string,
  more: Readonly<Record<string, SimulatedProgram>>,
): SimulatedProgram | undefined {
  const base = posix.basename(name);
  return more[base] ?? (Object.hasOwn(builtInPrograms, base) ? builtInPrograms[base] : undefined);
}

/**
 * What is at a clone URL. What nobody planted has one README, so that any repository can be named; a URL
 * with the word `missing` in it leads nowhere.
 */
export function repositoryAt(
  repositories: ReadonlyMap<string, SimulatedRepository>,
  url: string,
): SimulatedRepository | undefined {
  const planted = repositories.get(url);
  if (planted !== undefined) return planted;
  return url.includes('missing') ? undefined : { 'README.md': `A simulated clone of ${url}.\n` };
}

function printEnvironment(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function printFiles({ arguments: [, ...words], files, input }: ProgramCall): ProgramResult {
  const paths = words.filter((word) => !word.startsWith('-'));
  if (paths.length === 0) return { exitCode: 0, stdout: input };
  const texts = paths.map((path) => files.read(path));
  const missing = paths.filter((_, index) => texts[index] === undefined);
  return {
    exitCode: missing.length === 0 ? 0 : 1,
    stdout: texts.join(''),
    stderr: missing.map((path) => `cat: ${path}: No such file or directory\n`).join(''),
  };
}

function runGit({ arguments: [, ...words], files, repositories }: ProgramCall): ProgramResult {
  const command = words.find((word, index) => !word.startsWith('-') && words[index - 1] !== '-C') ?? '';
  if (command !== 'clone') {
    if (files.read('.git/config') !== undefined) return succeeded;
    return { exitCode: 128, stderr: 'fatal: not a git repository\n' };
  }
  const places = words.slice(words.indexOf('clone') + 1).filter((word) => !word.startsWith('-'));
  const [url = '', folder = posix.basename(url, '.git')] = places;
  if (files.list(folder).length > 0) {
    return { exitCode: 128, stderr: `fatal: destination path '${folder}' is not an empty directory.\n` };
  }
  const repository = repositoryAt(repositories, url);
  if (repository === undefined) return { exitCode: 128, stderr: `fatal: repository '${url}' not found\n` };
  const all = { '.git/config': `[remote "origin"]\n\turl = ${url}\n`, ...repository };
  const written = Object.entries(all).every(([path, text]) => files.write(posix.join(folder, path), text));
  return written ? succeeded : { exitCode: 128, stderr: `fatal: could not create work tree '${folder}'\n` };
}

/** Understands one simple command of words without quotes; every other script succeeds and does nothing. */
function runShell(call: ProgramCall): ProgramResult {
  const script = call.arguments[call.arguments.indexOf('-c') + 1] ?? '';
  const exit = /^exit (\d+)$/.exec(script.trim());
  if (exit !== null) return { exitCode: Number(exit[1]) };
  const words = script.trim().split(/\s+/);
  const program = /^[\w ./=:@-]+$/.test(script.trim()) ? findProgram(words[0] ?? '', {}) : undefined;
  if (program === undefined || words[0] === 'sh') return succeeded;
  return program.run({ ...call, arguments: words });
}
