/** From the text of a devcontainer.json (JSON with comments) to a checked configuration. */
import { AtelierError, whyUnsendable } from '@atelier/api';
import {
  createScanner,
  getNodeValue,
  parseTree,
  printParseErrorCode,
  type Node,
  type ParseError,
} from 'jsonc-parser';
import type { DevContainerConfiguration, ParsedConfiguration } from './configuration.ts';
import { deservesWarning, properties, type Property } from './properties.ts';
import { checkShape, namedChildren, warn, warnOfUnknown, type ShapeFindings } from './shape.ts';

/** The longest text that is read, in UTF-16 units: far above any real file, far below harm. */
const configurationLengthMax = 512 * 1024;

/** How deep lists and objects may stand in each other; a deeper text could exhaust the stack. */
const configurationDepthMax = 64;

/**
 * Parses and checks a devcontainer.json. Comments, trailing commas, a byte order mark and any line ends are
 * fine. `path` is for messages. `invalid_argument` with `path:line:column` for a syntax error or a property
 * of the wrong shape (the first of the file); `unimplemented` for a configuration that consists of compose
 * services only. What is known but has no effect yet, and what nobody knows, comes back as warnings; a
 * property that has no effect is not part of the configuration.
 */
export function parseConfiguration(text: string, path: string): ParsedConfiguration {
  const root = parseRoot(text, path);
  const findings: ShapeFindings = { problems: [], warnings: [] };
  if (text.includes('\uFFFD')) {
    findings.warnings.push('the file is not UTF-8 throughout: what cannot be read stands as \uFFFD.');
  }
  const seen = new Map<string, Node>();
  for (const [name, node] of namedChildren(root)) {
    if (seen.has(name))
      warn(findings.warnings, () => `${name} is given more than once; the last one counts.`);
    seen.set(name, node);
  }
  const entries: [string, unknown][] = [];
  for (const [name, node] of seen) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (!property) {
      warnOfUnknown(name, name, Object.keys(properties), findings.warnings);
      continue;
    }
    checkShape(node, property.shape, name, findings);
    const value = effectiveValue(name, property, valueOf(node), findings.warnings);
    if (value !== undefined && name !== '$schema') entries.push([name, value]);
  }
  const [problem, ...others] = findings.problems.sort((left, right) => left.offset - right.offset);
  if (problem) {
    const more = others.length === 0 ? '' : ` (${others.length} more of this kind in the file)`;
    throw located(text, path, problem.offset, `${problem.message}. Correct the value${more}.`);
  }
  const configuration = Object.fromEntries(entries) as DevContainerConfiguration;
  const compose = seen.get('dockerComposeFile');
  if (compose) refuseCompose(configuration, text, path, compose.offset);
  return { configuration, warnings: [...findings.warnings, ...conflicts(configuration)] };
}

/** What of a value has an effect, undefined when nothing has; the rest is named in a warning. */
function effectiveValue(path: string, property: Property, value: unknown, warnings: string[]): unknown {
  if (deservesWarning(property, value)) warnings.push(`${path} ${property.ignored}`);
  if (property.ignored !== undefined) return undefined;
  const { parts } = property;
  if (parts === undefined || typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([name, part]: [string, unknown]) => {
    if (!Object.hasOwn(parts, name)) return [[name, part]];
    const effective = effectiveValue(`${path}.${name}`, parts[name]!, part, warnings);
    return effective === undefined ? [] : [[name, effective]];
  });
  return Object.fromEntries(entries);
}

function refuseCompose(
  configuration: DevContainerConfiguration,
  text: string,
  path: string,
  offset: number,
): void {
  if (configuration.image ?? configuration.build?.dockerfile ?? configuration.dockerFile) return;
  const position = positionOf(text, offset);
  throw new AtelierError(
    'unimplemented',
    `${path}:${position}: dockerComposeFile: compose configurations are not supported yet. Give the configuration an image or a build instead.`,
  );
}

function conflicts(configuration: DevContainerConfiguration): string[] {
  const { build, dockerFile, image } = configuration;
  const warnings: string[] = [];
  const builds = build?.dockerfile ?? dockerFile;
  if (image !== undefined && builds !== undefined) {
    warnings.push(`image has no effect, because the image is built from ${builds}.`);
  }
  if (build !== undefined && builds === undefined) {
    warnings.push('build has no effect, because it names no dockerfile.');
  }
  if (configuration.workspaceMount !== undefined && configuration.workspaceFolder === undefined) {
    warnings.push('workspaceMount is given without workspaceFolder; commands start in the default folder.');
  }
  return warnings;
}

function parseRoot(text: string, path: string): Node {
  if (text.length > configurationLengthMax) {
    throw new AtelierError(
      'invalid_argument',
      `${path} is too long: ${text.length} characters, where ${configurationLengthMax} are allowed. Make it shorter.`,
    );
  }
  const mark = text.startsWith('\uFEFF') ? ' ' : '';
  const clean = mark + text.slice(mark.length);
  refuseDepth(clean, path);
  const errors: ParseError[] = [];
  const root = parseTree(clean, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (!root && (!first || printParseErrorCode(first.error) === 'ValueExpected')) {
    throw new AtelierError('invalid_argument', `${path} is empty. Write at least {} into it.`);
  }
  // What no decoder could read stands as U+FFFD in a text; UTF-16 leaves NUL characters as well.
  // oxlint-disable-next-line no-control-regex
  if ((first || !root) && /[\uFFFD\u0000]/.test(clean)) {
    throw new AtelierError('invalid_argument', `${path} is not UTF-8 text. Save it in that encoding.`);
  }
  if (first || !root) throw located(text, path, first?.offset ?? 0, syntaxProblem(clean, first));
  if (root.type !== 'object') {
    throw located(
      text,
      path,
      root.offset,
      `the file must hold one object in { }, not ${root.type === 'array' ? 'a list' : `a ${root.type}`}.`,
    );
  }
  refuseUnsendable(root, text, path);
  return root;
}

/** An escape may stand for what cannot be sent on. */
function refuseUnsendable(node: Node, text: string, path: string): void {
  for (const child of node.children ?? []) refuseUnsendable(child, text, path);
  if (node.type !== 'string') return;
  const what = whyUnsendable(getNodeValue(node) as string);
  if (what === undefined) return;
  throw located(text, path, node.offset, `this text has ${what} in it, which no program takes. Remove it.`);
}

/** Walks the tokens only, so that a hostile text cannot exhaust the stack of the parser behind it. */
function refuseDepth(text: string, path: string): void {
  const scanner = createScanner(text, true);
  let depth = 0;
  for (;;) {
    scanner.scan();
    // Only the end of the text is a token there. Neither its position nor its length tells: an open comment before
    // the last line end makes the scanner go beyond the text.
    if (scanner.getTokenOffset() >= text.length) return;
    const character = scanner.getTokenLength() === 1 ? text[scanner.getTokenOffset()] : '';
    if (character === '{' || character === '[') depth += 1;
    if (character === '}' || character === ']') depth -= 1;
    if (depth > configurationDepthMax) {
      const problem = `more than ${configurationDepthMax} lists and objects stand in each other. Make it flatter.`;
      throw located(text, path, scanner.getTokenOffset(), problem);
    }
  }
}

/** What each kind of syntax error means to the author, and the remedy. */
const syntaxProblems: Readonly<Record<string, string>> = {
  InvalidSymbol:
    'this is not JSON: texts stand in double quotes, other values are numbers, true, false, null',
  InvalidNumberFormat: 'this number is malformed; write it in decimal digits or as a text in double quotes',
  PropertyNameExpected: 'the name of a property is expected here, in double quotes',
  ValueExpected: 'a value is expected here',
  ColonExpected: 'a ":" is expected here, between a property and its value',
  CommaExpected: 'a "," is expected before this, after the value that precedes it',
  CloseBraceExpected: 'an object is not closed; add the missing "}"',
  CloseBracketExpected: 'a list is not closed; add the missing "]"',
  EndOfFileExpected:
    'the configuration ended before this; remove what follows, or the bracket that closed it too early',
  InvalidCommentToken: 'a comment is not allowed here',
  UnexpectedEndOfComment: 'a comment is not closed; add "*/"',
  UnexpectedEndOfString: 'a text is not closed; add the missing double quote',
  UnexpectedEndOfNumber: 'a number is not complete',
  InvalidUnicode: 'an escape \\u needs four hexadecimal digits',
  InvalidEscapeCharacter:
    'a backslash must be written twice in a text, or be one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u',
  InvalidCharacter: 'a control character stands in a text; write it as \\n, \\t or \\u....',
};

function syntaxProblem(text: string, error: ParseError | undefined): string {
  const known = error && syntaxProblems[printParseErrorCode(error.error)];
  const found = error ? text.slice(error.offset, error.offset + Math.max(1, error.length)).trim() : '';
  const shown =
    found === '' ? '' : ` (at ${JSON.stringify(found.length > 40 ? `${found.slice(0, 37)}...` : found)})`;
  return `${known ?? 'this is not JSON'}${shown}.`;
}

function located(text: string, path: string, offset: number, problem: string): AtelierError {
  return new AtelierError('invalid_argument', `${path}:${positionOf(text, offset)}: ${problem}`);
}

/** `line:column`, both from 1. */
function positionOf(text: string, offset: number): string {
  const before = text.slice(0, offset).split(/\r\n|\r|\n/);
  return `${before.length}:${(before.at(-1) ?? '').replace('\uFEFF', '').length + 1}`;
}

/** As `getNodeValue`, but a property named `__proto__` stays a property. */
function valueOf(node: Node): unknown {
  if (node.type === 'array') return (node.children ?? []).map(valueOf);
  if (node.type === 'object') {
    return Object.fromEntries(namedChildren(node).map(([name, value]) => [name, valueOf(value)]));
  }
  return getNodeValue(node) as unknown;
}
