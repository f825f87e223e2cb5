import type { Node } from 'oxc-parser';
import { at, shippedPaths, walk, type Rule, type Source, type Violation } from './tree.ts';

const builtInError = /^(Aggregate|Eval|Range|Reference|Syntax|Type|URI)?Error$/;
const phaseFile = 'packages/api/src/phase.ts';

/** One error class, so that every caller can map every failure: its code set is closed and its message says what to do. */
export const errorRule: Rule = {
  name: 'one error class',
  check: (tree) => shippedPaths(tree).flatMap((path) => foreignErrors(tree.source(path))),
};

function foreignErrors(source: Source): Violation[] {
  const found: Violation[] = [];
  walk(source.program, (node) => {
    const made = node.type === 'NewExpression' || node.type === 'CallExpression' ? node.callee : undefined;
    if (made?.type === 'Identifier' && builtInError.test(made.name)) {
      const message = `${made.name}: use AtelierError, whose closed code set maps once to the wire and to exit codes`;
      found.push(at(source, node, message));
    }
    if (node.type !== 'ClassDeclaration' && node.type !== 'ClassExpression') return;
    const parent = node.superClass;
    if (parent?.type !== 'Identifier' || !builtInError.test(parent.name)) return;
    if (source.path.startsWith('packages/api/src/')) return;
    found.push(at(source, node, 'a second error class: AtelierError is the one that every caller knows'));
  });
  return found;
}

/** The phase of an environment is derived from its status by one function; a second place would disagree one day. */
export const phaseRule: Rule = {
  name: 'phase is computed in one place',
  check: (tree) =>
    shippedPaths(tree)
      .filter((path) => path !== phaseFile)
      .flatMap((path) => writtenPhases(tree.source(path))),
};

function writtenPhases(source: Source): Violation[] {
  const found: Violation[] = [];
  walk(source.program, (node) => {
    const value = phaseValue(node);
    if (value === undefined || !isPhase(value)) return;
    found.push(at(source, node, `a phase is written here: only ${phaseFile} computes it, from the status`));
  });
  return found;
}

function phaseValue(node: Node): Node | undefined {
  if (node.type === 'Property' && node.key.type === 'Identifier' && node.key.name === 'phase')
    return node.value;
  if (node.type !== 'AssignmentExpression' || node.left.type !== 'MemberExpression') return undefined;
  const { property } = node.left;
  return property.type === 'Identifier' && property.name === 'phase' ? node.right : undefined;
}

// Comparing with a phase, or handing one on as an argument, computes nothing.
function isPhase(value: Node): boolean {
  if (value.type === 'ConditionalExpression') return isPhase(value.consequent) || isPhase(value.alternate);
  if (value.type === 'LogicalExpression') return isPhase(value.left) || isPhase(value.right);
  if (value.type !== 'MemberExpression' || value.computed) return false;
  return value.object.type === 'Identifier' && value.object.name === 'EnvironmentPhase';
}
