import type { Node } from 'oxc-parser';
import { importsOf } from './imports.ts';
import { at, isSystem, isTest, shippedPaths, walk, type Rule, type Source, type Violation } from './tree.ts';

const pureFolders = /^packages\/(reconcile|devcontainer|automations|policy)\/src\//;
const timers = new Set(['setTimeout', 'setInterval']);
const whySystem =
  'clock, random and environment are arguments, so that a test and the simulation can decide them';
const whyPure = 'this package is pure: same input, same answer, no effect, or the simulation proves nothing';
const whyPlan = 'a plan answers at once from its arguments: what waits belongs to the loop or to a step';

/** Clock, random and environment only in files named system.ts; tests, tools and bench excepted. */
export const systemRule: Rule = {
  name: 'clock, random and environment only in system.ts',
  check: (tree) =>
    shippedPaths(tree)
      .filter((path) => !isSystem(path))
      .flatMap((path) => ambientUses(tree.source(path), whySystem)),
};

/** Pure packages reach nothing; plans have no promise. */
export const purityRule: Rule = {
  name: 'pure packages and plans',
  check(tree) {
    const paths = shippedPaths(tree).filter((path) => pureFolders.test(path));
    const planFolders = shippedPaths(tree)
      .filter((path) => path.endsWith('/plan.ts'))
      .map((path) => path.slice(0, -'plan.ts'.length));
    const plans = shippedPaths(tree).filter((path) => planFolders.some((folder) => path.startsWith(folder)));
    return [
      ...paths.flatMap((path) => reachingUses(tree.source(path))),
      ...plans.flatMap((path) => promises(tree.source(path))),
    ];
  },
};

function ambientUses(source: Source, why: string): Violation[] {
  const found: Violation[] = [];
  walk(source.program, (node, ancestors) => {
    const use = ambientUse(node, ancestors);
    if (use !== undefined) found.push(at(source, node, `${use}: ${why}`));
  });
  return found;
}

/** The clock, random source or environment that a node reads, or undefined. */
function ambientUse(node: Node, ancestors: readonly Node[]): string | undefined {
  if (node.type === 'NewExpression' || node.type === 'CallExpression') {
    const now =
      node.callee.type === 'Identifier' && node.callee.name === 'Date' && node.arguments.length === 0;
    return now ? 'new Date()' : undefined;
  }
  if (node.type === 'MemberExpression' && !node.computed && node.object.type === 'Identifier') {
    const name = `${node.object.name}.${(node.property as { name: string }).name}`;
    return /^(Date\.now|Math\.random|performance\.now|process\.env)$/.test(name) ? name : undefined;
  }
  if (node.type === 'ImportSpecifier') {
    const name = node.imported.type === 'Identifier' ? node.imported.name : '';
    return name === 'randomUUID' || timers.has(name) ? name : undefined;
  }
  if (node.type === 'ImportNamespaceSpecifier') {
    const from = (ancestors.at(-1) as { source?: { value: string } }).source?.value ?? '';
    return /^(node:)?timers(\/|$)/.test(from) ? from : undefined;
  }
  if (node.type !== 'Identifier') return undefined;
  if (node.name === 'randomUUID' && isProperty(node, ancestors)) return 'randomUUID';
  return timers.has(node.name) && isReference(node, ancestors) ? node.name : undefined;
}

function isProperty(node: Node, ancestors: readonly Node[]): boolean {
  const parent = ancestors.at(-1);
  return parent?.type === 'MemberExpression' && parent.property === node;
}

// `clock.setTimeout` and a method, parameter or variable of that name are somebody's own; only the bare name is global.
function isReference(node: Node & { name: string }, ancestors: readonly Node[]): boolean {
  const parent = ancestors.at(-1);
  if (parent === undefined || parent.type === 'ImportSpecifier' || isProperty(node, ancestors)) return false;
  const isKey = 'key' in parent && parent.key === node && !('shorthand' in parent && parent.shorthand);
  return !isKey && !ancestors.some((ancestor) => declares(ancestor, node.name));
}

function declares(scope: Node, name: string): boolean {
  if ('params' in scope && Array.isArray(scope.params)) return scope.params.some((each) => names(each, name));
  const statements =
    'body' in scope && Array.isArray(scope.body) ? scope.body : 'left' in scope ? [scope.left] : [];
  return statements.some(
    (statement) =>
      statement.type === 'VariableDeclaration' && statement.declarations.some((each) => names(each.id, name)),
  );
}

function names(pattern: Node, name: string): boolean {
  let named = false;
  walk(pattern, (node) => {
    named ||= node.type === 'Identifier' && node.name === name;
  });
  return named;
}

function reachingUses(source: Source): Violation[] {
  const found = ambientUses(source, whyPure);
  for (const { specifier, line } of importsOf(source)) {
    if (specifier.startsWith('node:'))
      found.push({ path: source.path, line, message: `${specifier}: ${whyPure}` });
  }
  walk(source.program, (node, ancestors) => {
    if (node.type !== 'Identifier' || !['process', 'fetch'].includes(node.name)) return;
    if (isReference(node, ancestors)) found.push(at(source, node, `${node.name}: ${whyPure}`));
  });
  return found;
}

function promises(source: Source): Violation[] {
  if (isTest(source.path)) return [];
  const found: Violation[] = [];
  walk(source.program, (node) => {
    if ('async' in node && node.async) found.push(at(source, node, `async: ${whyPlan}`));
    else if (node.type === 'AwaitExpression') found.push(at(source, node, `await: ${whyPlan}`));
    else if (node.type === 'Identifier' && node.name === 'Promise')
      found.push(at(source, node, `Promise: ${whyPlan}`));
  });
  return found;
}
