import type { Node } from 'oxc-parser';
import { importsOf } from './imports.ts';
import { at, walk, type Rule, type Tree, type Violation } from './tree.ts';

const architecture = 'ARCHITECTURE.md';
const architectureLinesMax = 300;
const protocol = 'packages/api/src/protocol.ts';

/** Every driver package runs the contract suites that are exported beside the interfaces. */
export const contractRule: Rule = {
  name: 'drivers run the contract suite',
  check(tree) {
    const drivers = packagesOf(tree).filter((name) => name.startsWith('driver-'));
    return drivers.flatMap((name) => {
      const tests = tree.paths.filter(
        (path) => path.startsWith(`packages/${name}/src/`) && path.endsWith('.test.ts'),
      );
      if (tests.some((path) => callsContractSuite(tree, path))) return [];
      const message = `${name} has no test that calls a contract suite of @atelier/driver: an interface is what its suite proves`;
      return [{ path: `packages/${name}/package.json`, line: 1, message }];
    });
  },
};

function callsContractSuite(tree: Tree, path: string): boolean {
  const source = tree.source(path);
  if (!importsOf(source).some(({ specifier }) => /^@atelier\/driver(\/|$)/.test(specifier))) return false;
  const suites = new Set<string>();
  let called = false;
  walk(source.program, (node: Node) => {
    if (node.type === 'ImportDeclaration' && /^@atelier\/driver(\/|$)/.test(node.source.value)) {
      for (const each of node.specifiers)
        if (/suite|contract/i.test(each.local.name)) suites.add(each.local.name);
    }
    if (node.type === 'CallExpression' && node.callee.type === 'Identifier')
      called ||= suites.has(node.callee.name);
  });
  return called;
}

/** The packages of the repository. */
export function packagesOf(tree: Tree): string[] {
  return tree.paths.flatMap((path) => /^packages\/([^/]+)\/package\.json$/.exec(path)?.[1] ?? []);
}

/** ARCHITECTURE.md stays short and its code map knows every package; a map with holes is not used. */
export const codeMapRule: Rule = {
  name: 'the code map names every package',
  check(tree) {
    if (!tree.paths.includes(architecture)) return [];
    const text = tree.text(architecture);
    const lines = text.trimEnd().split('\n').length;
    const problems: Violation[] = [];
    if (lines > architectureLinesMax) {
      const message = `${lines} lines, at most ${architectureLinesMax}: what is not about the whole belongs to a package`;
      problems.push({ path: architecture, line: architectureLinesMax + 1, message });
    }
    for (const name of packagesOf(tree)) {
      if (new RegExp(`(\`|packages/)${name}(\`|/|\\b(?!-))`).test(text)) continue;
      problems.push({
        path: architecture,
        line: 1,
        message: `the code map does not name the package ${name}`,
      });
    }
    return problems;
  },
};

/** A protocol version has a dated log; a version without a line cannot be explained to the other side. */
export const protocolRule: Rule = {
  name: 'the protocol logs explain the protocol versions',
  check(tree) {
    if (!tree.paths.includes(protocol)) return [];
    const source = tree.source(protocol);
    const logged = new Map<string, number>();
    const current = new Map<string, { value: number; start: number }>();
    walk(source.program, (node) => {
      if (node.type !== 'VariableDeclarator' || node.id.type !== 'Identifier' || node.init === null) return;
      const [, name = '', kind] = /^(\w*protocol)(Version|Log)$/i.exec(node.id.name) ?? [];
      if (kind === 'Log') logged.set(name, highestEntry(node.init));
      if (kind !== 'Version') return;
      const value = node.init.type === 'Literal' ? Number(node.init.value) : Number.NaN;
      current.set(name, { value, start: node.start });
    });
    if (current.size === 0)
      return [{ path: protocol, line: 1, message: 'no protocol version is declared here' }];
    return [...current].flatMap(([name, { value, start }]) => {
      if (value === logged.get(name)) return [];
      const message = `${name}Version is ${value}, the highest dated entry of ${name}Log is ${logged.get(name) ?? 'missing'}`;
      return [at(source, { start }, `${message}: say in the log what the other side can notice`)];
    });
  },
};

function highestEntry(log: Node): number {
  let highest = 0;
  walk(log, (node) => {
    if (node.type !== 'ObjectExpression') return;
    const entry = new Map<string, unknown>();
    for (const each of node.properties) {
      if (each.type !== 'Property' || each.key.type !== 'Identifier' || each.value.type !== 'Literal')
        continue;
      entry.set(each.key.name, each.value.value);
    }
    const dated = /^\d{4}-\d\d-\d\d$/.test(String(entry.get('date')));
    if (dated && typeof entry.get('version') === 'number')
      highest = Math.max(highest, Number(entry.get('version')));
  });
  return highest;
}
