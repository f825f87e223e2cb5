import { lineAt, type Rule, type Tree, type Violation } from './tree.ts';

const lockFile = 'pnpm-lock.yaml';
// Spelled in pieces, so that this file obeys the rule that it holds.
const registryHosts = [
  ['registry', 'npmjs', 'org'],
  ['registry', 'yarnpkg', 'com'],
  ['npm', 'pkg', 'github', 'com'],
  ['deb', 'debian', 'org'],
  ['security', 'debian', 'org'],
  ['snapshot', 'debian', 'org'],
  ['archive', 'ubuntu', 'com'],
  ['pypi', 'org'],
  ['files', 'pythonhosted', 'org'],
  ['proxy', 'golang', 'org'],
  ['static', 'crates', 'io'],
].map((parts) => parts.join('.'));
const machineFolders = ['work', 'tmp/probe'].map((folder) => `/${folder}/`);

/** Committed text works on every machine: it names no registry host and no folder of the machine it was written on. */
export const textRule: Rule = {
  name: 'text is true on every machine',
  check: (tree) =>
    tree.paths.flatMap((path) => (path === lockFile ? checkLockFile(tree) : checkText(tree, path))),
};

function checkText(tree: Tree, path: string): Violation[] {
  const text = tree.text(path);
  const problems: Violation[] = [];
  for (const host of registryHosts) {
    for (const offset of offsetsOf(text, host)) {
      const message = `names the registry host ${host}: the user's own configuration says where packages come from`;
      problems.push({ path, line: lineAt(text, offset), message });
    }
  }
  for (const folder of machineFolders) {
    for (const offset of offsetsOf(text, folder)) {
      // A folder that merely ends so, as in ${home}/x, is somebody else's.
      if (/[\w}>).$*~]/.test(text[offset - 1] ?? '')) continue;
      problems.push({
        path,
        line: lineAt(text, offset),
        message: `names ${folder}, a folder of one machine`,
      });
    }
  }
  return problems;
}

function checkLockFile(tree: Tree): Violation[] {
  const text = tree.text(lockFile);
  return [...text.matchAll(/https?:\/\/\S+/g)].map((match) => ({
    path: lockFile,
    line: lineAt(text, match.index),
    message: `names a tarball host (${match[0]}): the lock file must install from whatever registry the user has`,
  }));
}

function* offsetsOf(text: string, wanted: string): Generator<number> {
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + 1)) yield at;
}
