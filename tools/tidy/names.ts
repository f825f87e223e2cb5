import type { Rule } from './tree.ts';

const catchAll = new Set(['common', 'utils', 'util', 'shared', 'core', 'helpers', 'helper', 'misc', 'lib']);

/** A file or folder is named by what is in it; a catch-all name collects what nobody could place. */
export const nameRule: Rule = {
  name: 'no catch-all names',
  check: (tree) =>
    tree.paths
      .filter(
        (path) => /^(packages|tests|bench|tools)\//.test(path) && !/\/(gen|testdata|proto)\//.test(path),
      )
      .flatMap((path) => {
        const bad = path.split('/').find((part) => catchAll.has(stem(part)));
        const message = `${bad} is a catch-all name: name it by the noun that it is about`;
        return bad === undefined ? [] : [{ path, line: 1, message }];
      }),
};

function stem(part: string): string {
  return part.split('.')[0] ?? part;
}
