import type { Node } from 'oxc-parser';
import { at, isTest, lineAt, sourcePaths, walk, type Rule, type Source, type Violation } from './tree.ts';

const fileLinesMax = 400;
const testFileLinesMax = 600;
const functionLinesMax = 70;
const testBlock = /^(describe|it|test|suite|beforeAll|beforeEach|afterAll|afterEach)$/;

/** Files and functions stay small enough to be read at once. Blocks of tests are lists: they do not count. */
export const sizeRule: Rule = {
  name: 'files and functions stay small',
  check: (tree) =>
    sourcePaths(tree).flatMap((path) => [
      ...longFile(tree.source(path)),
      ...longFunctions(tree.source(path)),
    ]),
};

function longFile(source: Source): Violation[] {
  const lines = source.text.trimEnd().split('\n').length;
  const max = isTest(source.path) ? testFileLinesMax : fileLinesMax;
  if (lines <= max) return [];
  const message = `${lines} lines, at most ${max}: find the second noun in this file and give it a file of its own`;
  return [{ path: source.path, line: max + 1, message }];
}

function longFunctions(source: Source): Violation[] {
  const found: Violation[] = [];
  walk(source.program, (node, ancestors) => {
    if (!['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'].includes(node.type)) return;
    if (isTestBlock(ancestors.at(-1)) || linesOf(source, node) <= functionLinesMax) return;
    const lines = linesOf(source, node) - linesOfTests(source, node);
    if (lines <= functionLinesMax) return;
    const message = `function of ${lines} lines, at most ${functionLinesMax}: name its steps and make them functions`;
    found.push(at(source, node, message));
  });
  return found;
}

function linesOf(source: Source, node: Node): number {
  return lineAt(source.text, node.end) - lineAt(source.text, node.start) + 1;
}

function linesOfTests(source: Source, node: Node): number {
  let lines = 0;
  walk(node, (child, ancestors) => {
    if (isTestBlock(child) && !ancestors.some(isTestBlock)) lines += linesOf(source, child);
  });
  return lines;
}

// describe(...), it.skipIf(...)(...), describe.each(...)(...)
function isTestBlock(node: Node | undefined): boolean {
  let callee: Node | undefined = node?.type === 'CallExpression' ? node.callee : undefined;
  while (callee !== undefined && callee.type !== 'Identifier') {
    if (callee.type === 'CallExpression') callee = callee.callee;
    else if (callee.type === 'MemberExpression') callee = callee.object;
    else return false;
  }
  return callee !== undefined && testBlock.test(callee.name);
}
