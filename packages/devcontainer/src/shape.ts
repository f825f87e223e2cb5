/** Shapes of JSON values and the walk that checks a parsed document against them. */
import { getNodeValue, type Node } from 'jsonc-parser';
import { closestName } from './closest.ts';

/** The expected shape of a value. `text` says what fits, as the object of "must be". */
export type Shape =
  | { kind: 'string' | 'boolean' | 'null' | 'anything'; text: string }
  | { kind: 'number'; text: string; minimum: number; maximum: number }
  | { kind: 'words'; text: string; words: readonly string[] }
  | { kind: 'pattern'; text: string; pattern: RegExp }
  | { kind: 'list'; text: string; of: Shape }
  | { kind: 'map'; text: string; of: Shape }
  | { kind: 'record'; text: string; properties: Readonly<Record<string, Shape>> }
  | { kind: 'either'; text: string; shapes: readonly Shape[] };

/** A value of the wrong shape: where it stands in the text and a sentence about it. */
export interface ShapeProblem {
  offset: number;
  message: string;
}

/** What a walk finds: problems to refuse the document for, and sentences about what has no effect. */
export interface ShapeFindings {
  problems: ShapeProblem[];
  warnings: string[];
}

/** Checks a value at `path` (`forwardPorts[1]`), adding to the findings, in the order of the text. */
export function checkShape(node: Node, shape: Shape, path: string, findings: ShapeFindings): void {
  if (!fits(node, shape)) {
    findings.problems.push({
      offset: node.offset,
      message: `${path} must be ${shape.text}, not ${describe(node)}`,
    });
    return;
  }
  switch (shape.kind) {
    case 'list':
      for (const [index, child] of (node.children ?? []).entries())
        checkShape(child, shape.of, `${path}[${index}]`, findings);
      return;
    case 'map':
      for (const [name, value] of namedChildren(node))
        checkShape(value, shape.of, `${path}.${name}`, findings);
      return;
    case 'record':
      for (const [name, value] of namedChildren(node)) {
        const property = Object.hasOwn(shape.properties, name) ? shape.properties[name] : undefined;
        if (property) checkShape(value, property, `${path}.${name}`, findings);
        else warnOfUnknown(`${path}.${name}`, name, Object.keys(shape.properties), findings.warnings);
      }
      return;
    case 'either':
      for (const candidate of shape.shapes) {
        if (!fits(node, candidate)) continue;
        checkShape(node, candidate, path, findings);
        return;
      }
      return;
    default:
      return;
  }
}

/** Nobody reads more warnings, and each unknown name is compared with every known one. */
const warningsMax = 100;

/** Adds a warning, the last of which says that there would be more. */
export function warn(warnings: string[], warning: () => string): void {
  if (warnings.length < warningsMax) warnings.push(warning());
  else if (warnings.length === warningsMax) warnings.push('There are more warnings than are shown here.');
}

/** Warns of a property that nobody knows, with the name that was probably meant. */
export function warnOfUnknown(
  path: string,
  name: string,
  known: readonly string[],
  warnings: string[],
): void {
  warn(warnings, () => {
    const meant = closestName(name, known);
    return `${path} is not a known property and has no effect${meant === undefined ? '.' : `; did you mean ${meant}?`}`;
  });
}

/** The properties of an object node with their values, in the order of the text. */
export function namedChildren(node: Node): [string, Node][] {
  return (node.children ?? []).flatMap((property): [string, Node][] => {
    const [key, value] = property.children ?? [];
    return key && value ? [[String(key.value), value]] : [];
  });
}

/** Whether the value is of the shape as far as its outermost level goes. */
function fits(node: Node, shape: Shape): boolean {
  switch (shape.kind) {
    case 'anything':
      return true;
    case 'string':
    case 'boolean':
    case 'null':
      return node.type === shape.kind;
    case 'number':
      return (
        node.type === 'number' &&
        Number.isInteger(node.value) &&
        node.value >= shape.minimum &&
        node.value <= shape.maximum
      );
    case 'words':
      return node.type === 'string' && shape.words.includes(node.value as string);
    case 'pattern':
      return node.type === 'string' && shape.pattern.test(node.value as string);
    case 'list':
      return node.type === 'array';
    case 'map':
    case 'record':
      return node.type === 'object';
    case 'either':
      return shape.shapes.some((candidate) => fits(node, candidate));
  }
}

function describe(node: Node): string {
  if (node.type === 'object') return 'an object';
  if (node.type === 'array') return 'a list';
  const text = JSON.stringify(getNodeValue(node)) ?? 'nothing';
  const value = text.length > 60 ? `${text.slice(0, 57)}...` : text;
  return node.type === 'null' ? 'null' : `the ${node.type} ${value}`;
}
