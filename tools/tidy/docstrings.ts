import type { Node } from 'oxc-parser';
import { at, shippedPaths, type Rule, type Source, type Violation } from './tree.ts';

const lengthMin = 20;

/** Every export says in a sentence what it is for: the reader of another package has nothing else. */
export const docstringRule: Rule = {
  name: 'a docstring on every export',
  check: (tree) => shippedPaths(tree).flatMap((path) => undocumented(tree.source(path))),
};

function undocumented(source: Source): Violation[] {
  const found: Violation[] = [];
  let previous = '';
  for (const node of source.program.body) {
    const name = exportedName(node);
    // The overloads of a function share the docstring of the first.
    if (name !== undefined && name !== previous && !hasSentence(docstringOf(source, node))) {
      const wanted = `a docstring with one whole sentence of at least ${lengthMin} characters`;
      found.push(at(source, node, `export ${name} lacks ${wanted}: why it is there, units, errors`));
    }
    previous = name ?? '';
  }
  return found;
}

/** The name that a statement declares and exports; undefined for a re-export, whose docstring is at its origin. */
function exportedName(node: Node): string | undefined {
  if (node.type === 'ExportDefaultDeclaration') return 'default';
  if (node.type !== 'ExportNamedDeclaration' || node.declaration === null) return undefined;
  const { declaration } = node;
  const named = declaration.type === 'VariableDeclaration' ? declaration.declarations[0] : declaration;
  const id = named !== undefined && 'id' in named ? named.id : null;
  return id?.type === 'Identifier' ? id.name : '(declaration)';
}

function docstringOf(source: Source, node: Node): string {
  const comment = source.comments.findLast(
    (each) => each.end <= node.start && source.text.slice(each.end, node.start).trim() === '',
  );
  return comment?.type === 'Block' && comment.value.startsWith('*') ? comment.value : '';
}

function hasSentence(docstring: string): boolean {
  const text = docstring
    .split('\n')
    .map((line) => line.replace(/^\s*\*+\s?/, ''))
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim();
  return text.length >= lengthMin && /[.!?][)`'"*]*( |$)/.test(text);
}
