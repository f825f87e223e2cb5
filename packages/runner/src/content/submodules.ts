/**
 * Submodules of a clone, one by one: one that cannot be fetched leaves its folder empty and the content usable,
 * so it becomes a warning. What each names is foreign: git checks it, inside the throw-away instance.
 */
import { withoutCredentials } from './failure.ts';
import type { GitRemote } from './remote.ts';

const namedMax = 10;
const wordsLengthMax = 300;
const unseen = '. Of this machine a clone sees the folder of its remote only.';

/** One entry of `.gitmodules`. */
export interface Submodule {
  readonly name: string;
  readonly path: string;
  readonly url: string;
}

/** Arguments of the command that prints the submodules of a clone; exit code 1 when there are none. */
export const listArguments: readonly string[] = [
  'git',
  'config',
  '-z',
  '--file=.gitmodules',
  '--get-regexp',
  String.raw`^submodule\..*\.(path|url)$`,
];

/** The submodules in what the list printed. */
export function submodulesIn(stdout: string): Submodule[] {
  const found = new Map<string, { name: string; path: string; url: string }>();
  for (const entry of stdout.split('\0')) {
    const [, name, key, value = ''] = /^submodule\.(.*)\.(path|url)\n(.*)$/s.exec(entry) ?? [];
    if (name === undefined) continue;
    const submodule = found.get(name) ?? { name, path: '', url: '' };
    found.set(name, { ...submodule, [key === 'path' ? 'path' : 'url']: value });
  }
  return [...found.values()].filter(({ path }) => path !== '');
}

// An entry of .gitmodules for which the commit has nothing is old and means nothing, to git neither.
const fetchScript = [
  'git ls-files --stage -- "$1" | grep -q "^160000 " || exit 0',
  'exec git submodule update --init --recursive --progress -- "$1"',
].join('\n');

/** Arguments of the command that fetches one submodule and those in it. */
export function fetchArguments(path: string): readonly string[] {
  return ['/bin/sh', '-c', fetchScript, 'submodule', path];
}

/** A submodule that could not be fetched: its path and what git said. */
export interface MissingSubmodule {
  readonly path: string;
  readonly stderr: string;
}

/** What is missing, for a person; empty when nothing is. */
export function missingText(missing: readonly MissingSubmodule[], remote: GitRemote | undefined): string {
  const named = missing.slice(0, namedMax).map(({ path, stderr }) => {
    const why = printable(withoutCredentials(reasonIn(stderr), remote)).slice(0, wordsLengthMax);
    const hint = remote?.kind === 'file' && /does not (?:appear to be|exist)/.test(why) ? unseen : '';
    return `The submodule ${printable(path).slice(0, wordsLengthMax)} could not be fetched: ${why}${hint}`;
  });
  const more = missing.length - named.length;
  return [...named, ...(more > 0 ? [`${more} more submodules could not be fetched.`] : [])].join('\n');
}

/** The first thing that went wrong: what comes after it is git giving up. */
function reasonIn(stderr: string): string {
  const lines = stderr.split(/[\r\n]+/).map((line) => line.trim());
  const wrong = lines.filter((line) => /^(?:fatal|error|ssh|remote): |: Permission denied/.test(line));
  const reason = wrong.find((line) => !/^remote: |^fatal: clone of /.test(line));
  return reason ?? wrong[0] ?? lines.findLast((line) => line !== '') ?? 'git said nothing.';
}

function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f]/g, '?');
}
