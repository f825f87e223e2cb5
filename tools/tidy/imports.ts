import { posix } from 'node:path';
import type { Node } from 'oxc-parser';
import { forbiddenDependency, forbiddenImport } from './import-table.ts';
import {
  lineAt,
  packageOf,
  sourcePaths,
  walk,
  type Rule,
  type Source,
  type Tree,
  type Violation,
} from './tree.ts';

/** One import of a file, type-only ones, re-exports, `import()` and import types included. */
export interface Import {
  specifier: string;
  line: number;
}

/** Every import of a source. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  walk(source.program, (node) => {
    const literal = specifierNode(node);
    if (literal?.type !== 'Literal' || typeof literal.value !== 'string') return;
    found.push({ specifier: literal.value, line: lineAt(source.text, literal.start) });
  });
  return found;
}

function specifierNode(node: Node): Node | null | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return node.source as Node | null;
    default:
      return undefined;
  }
}

/** Only the edges of the import table, in source and in package.json, and only through a package's exports. */
export const importTableRule: Rule = {
  name: 'imports follow the table',
  check(tree) {
    const sources = sourcePaths(tree).flatMap((path) => checkSource(tree, path));
    const manifests = tree.paths
      .filter((path) => /^(packages\/[^/]+|tests|bench|tools)\/package\.json$/.test(path))
      .flatMap((path) => checkManifest(tree, path));
    return [...sources, ...manifests];
  },
};

function checkSource(tree: Tree, path: string): Violation[] {
  const from = packageOf(path);
  const file = path.startsWith('packages/') ? path.split('/').slice(2).join('/') : path;
  const problems: Violation[] = [];
  for (const { specifier, line } of importsOf(tree.source(path))) {
    const message = specifier.startsWith('.')
      ? relativeProblem(tree, path, specifier)
      : packageProblem(tree, from, file, specifier);
    if (message !== undefined) problems.push({ path, line, message });
  }
  return problems;
}

function relativeProblem(tree: Tree, path: string, specifier: string): string | undefined {
  const target = posix.join(posix.dirname(path), specifier);
  if (packageOf(target) !== packageOf(path)) {
    return `${specifier} reaches into ${packageOf(target)}: another package is imported by its name, through its exports`;
  }
  if (/\.(json|js|css)$/.test(specifier) || tree.paths.includes(target)) return undefined;
  return `${specifier} is no file of the repository: a relative import names the file with its .ts ending`;
}

function packageProblem(tree: Tree, from: string, file: string, specifier: string): string | undefined {
  const [scope, to, ...rest] = specifier.split('/');
  if (scope !== '@atelier' || to === undefined) return libraryProblem(from, file, specifier);
  const reason = forbiddenImport(from, to, file);
  if (reason !== undefined) return `${from} must not import ${to}: ${reason}`;
  const manifest = `packages/${to}/package.json`;
  if (!tree.paths.includes(manifest)) return `${specifier}: there is no package ${to}`;
  const { exports = {} } = JSON.parse(tree.text(manifest)) as { exports?: Record<string, unknown> | string };
  const keys = typeof exports === 'string' ? ['.'] : Object.keys(exports);
  const wanted = ['.', ...rest].join('/');
  if (keys.some((key) => key === wanted || (key.endsWith('*') && wanted.startsWith(key.slice(0, -1)))))
    return undefined;
  return `${specifier}: ${to} does not export it. What a package shows is its exports, the rest may change any day`;
}

function libraryProblem(from: string, file: string, specifier: string): string | undefined {
  if (from !== 'api' || specifier.startsWith('node:') || file.endsWith('.test.ts')) return undefined;
  if (/^@(bufbuild|connectrpc)\//.test(specifier)) return undefined;
  return `api must not import ${specifier}: every package and client carries what api carries (protobuf and Connect only)`;
}

function checkManifest(tree: Tree, path: string): Violation[] {
  const from = packageOf(path);
  const text = tree.text(path);
  const manifest = JSON.parse(text) as Record<string, Record<string, string> | undefined>;
  const problems: Violation[] = [];
  for (const kind of ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies']) {
    for (const name of Object.keys(manifest[kind] ?? {})) {
      if (!name.startsWith('@atelier/')) continue;
      const to = name.slice('@atelier/'.length);
      const reason = forbiddenDependency(from, to);
      if (reason === undefined) continue;
      const line = lineAt(text, text.indexOf(`"${name}"`));
      problems.push({ path, line, message: `${from} must not depend on ${to}: ${reason}` });
    }
  }
  return problems;
}

/** No import cycle between files, type-only imports included: what is in a cycle can only be understood as a whole. */
export const cycleRule: Rule = {
  name: 'no import cycles',
  check(tree) {
    const graph = new Map(sourcePaths(tree).map((path) => [path, relativeEdges(tree, path)]));
    const done = new Set<string>();
    const problems: Violation[] = [];
    for (const path of graph.keys()) visit(path, [], graph, done, problems);
    return problems;
  },
};

function relativeEdges(tree: Tree, path: string): { target: string; line: number }[] {
  return importsOf(tree.source(path))
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier, line }) => ({ target: posix.join(posix.dirname(path), specifier), line }));
}

function visit(
  path: string,
  trail: string[],
  graph: Map<string, { target: string; line: number }[]>,
  done: Set<string>,
  problems: Violation[],
): void {
  if (done.has(path)) return;
  trail.push(path);
  for (const { target, line } of graph.get(path) ?? []) {
    const start = trail.indexOf(target);
    if (start === -1) {
      visit(target, trail, graph, done, problems);
      continue;
    }
    const circle = [...trail.slice(start), target].map((each) => posix.basename(each)).join(' -> ');
    problems.push({
      path,
      line,
      message: `import cycle ${circle}: files in a cycle can only be understood as a whole`,
    });
  }
  trail.pop();
  done.add(path);
}
