import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseSync, visitorKeys, type Comment, type Node, type Program } from 'oxc-parser';

/** One broken rule at one place. `line` counts from 1; `message` says what is wrong and why that matters. */
export interface Violation {
  path: string;
  line: number;
  message: string;
}

/** A named rule over the whole repository. It reports everything that it finds, not only the first. */
export interface Rule {
  name: string;
  check(tree: Tree): Violation[];
}

/** The files of the repository by path from its root, read once; TypeScript is parsed on first use. */
export interface Tree {
  paths: string[];
  text(path: string): string;
  source(path: string): Source;
}

/** One parsed TypeScript file. */
export interface Source {
  path: string;
  text: string;
  program: Program;
  comments: Comment[];
}

/** The tree of a checkout: committed files and new ones, ignored files left out. */
export function readTree(root: string): Tree {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const paths = [...new Set(listed.split('\0'))].filter(
    (path) => path !== '' && existsSync(join(root, path)),
  );
  return treeOf(paths.toSorted(), (path) => readFileSync(join(root, path), 'utf8'));
}

/** A tree made of texts: what the tests of the rules feed them. */
export function plantedTree(files: Record<string, string>): Tree {
  return treeOf(Object.keys(files).toSorted(), (path) => files[path] ?? '');
}

function treeOf(paths: string[], read: (path: string) => string): Tree {
  const texts = new Map<string, string>();
  const sources = new Map<string, Source>();
  const text = (path: string) => remembered(texts, path, () => read(path));
  return { paths, text, source: (path) => remembered(sources, path, () => parse(path, text(path))) };
}

function remembered<T>(known: Map<string, T>, path: string, make: () => T): T {
  const value = known.get(path) ?? make();
  known.set(path, value);
  return value;
}

function parse(path: string, text: string): Source {
  const result = parseSync(path, text);
  return { path, text, program: result.program, comments: result.comments };
}

/** The hand-written TypeScript of packages, tests, bench and tools: generated code and test data left out. */
export function sourcePaths(tree: Tree): string[] {
  return tree.paths.filter(
    (path) =>
      /^(packages\/[^/]+\/src|tests|bench|tools)\/.*\.tsx?$/.test(path) &&
      !path.endsWith('.d.ts') &&
      !path.includes('/testdata/'),
  );
}

/** The hand-written TypeScript that ships: `packages/<name>/src` without its tests. */
export function shippedPaths(tree: Tree): string[] {
  return sourcePaths(tree).filter((path) => path.startsWith('packages/') && !isTest(path));
}

/** Whether a file holds tests. */
export function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || path.startsWith('tests/');
}

/** Whether a file is the one place of its process where clock, random and environment are read. */
export function isSystem(path: string): boolean {
  return basename(path) === 'system.ts';
}

/** The name of the package that a file belongs to: `api` for packages/api, `tools` for tools. */
export function packageOf(path: string): string {
  const [first = '', second = ''] = path.split('/');
  return first === 'packages' ? second : first;
}

/** The line of an offset, counted from 1. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}

/** A violation at a node of a source. */
export function at(source: Source, node: { start: number }, message: string): Violation {
  return { path: source.path, line: lineAt(source.text, node.start), message };
}

/** Visits every node below `node`, itself first, with its ancestors, nearest last. */
export function walk(
  node: Node,
  visit: (node: Node, ancestors: readonly Node[]) => void,
  above: Node[] = [],
): void {
  visit(node, above);
  above.push(node);
  for (const key of visitorKeys[node.type] ?? []) {
    const child = (node as unknown as Record<string, Node | Node[] | null | undefined>)[key];
    for (const each of Array.isArray(child) ? child : [child]) if (each) walk(each, visit, above);
  }
  above.pop();
}
