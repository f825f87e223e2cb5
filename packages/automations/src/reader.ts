/** Reads checked values out of a YAML text; every complaint names the place in the text. */
import { AtelierError, whyUnsendable } from '@atelier/api';
import {
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  visit,
  type Document,
  type Pair,
} from 'yaml';

/** The longest text that is read, in UTF-16 units. */
const lengthMax = 128 * 1024;

/** How often anchors may be used, counted as if each use were written out. */
const aliasCountMax = 100;

/** How deep lists and maps may stand in each other in the bracket form; deeper could exhaust the stack. */
const depthMax = 32;

type Path = readonly (string | number)[];

/** One parsed text. Construction throws `invalid_argument` when the text is not YAML. */
export class Reader {
  readonly #path: string;
  readonly #lines = new LineCounter();
  readonly #document: Document;
  readonly #value: unknown;

  constructor(text: string, path: string) {
    this.#path = path;
    if (text.length > lengthMax) {
      throw this.#problem(`is too long: ${text.length} characters, where ${lengthMax} are allowed.`);
    }
    try {
      this.#document = parseDocument(text, {
        lineCounter: this.#lines,
        merge: true,
        prettyErrors: false,
        logLevel: 'error',
        uniqueKeys: false,
      });
    } catch (cause) {
      throw this.#problem('is nested too deeply. Make it flatter.', cause);
    }
    const [first] = this.#document.errors;
    if (first?.code === 'RESOURCE_EXHAUSTION') throw this.#problem('is nested too deeply. Make it flatter.');
    if (first?.code === 'MULTIPLE_DOCS') {
      throw this.errorAt(first.pos[0], 'a second document begins here. Keep one.');
    }
    if (first) throw this.errorAt(first.pos[0], `this is not YAML: ${sentence(first.message)}`);
    this.#refuseRepeatedKeys();
    this.#refuseUnsendable();
    try {
      this.#value = this.#document.toJS({ maxAliasCount: aliasCountMax });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw this.#problem(`uses anchors (&, *) in a way that is not allowed: ${sentence(reason)}`, cause);
    }
    if (depthOf(this.#value) > depthMax) throw this.#problem('is nested too deeply. Make it flatter.');
  }

  /** The whole value; undefined for a text without content. */
  root(): Entry | undefined {
    return this.#value === null || this.#value === undefined ? undefined : this.entryAt([]);
  }

  /** The value at a path that exists. */
  entryAt(path: Path): Entry {
    let value = this.#value;
    for (const part of path) value = (value as Record<string | number, unknown>)[part];
    return new Entry(this, path, value);
  }

  /** An error at an offset of the text. */
  errorAt(offset: number, message: string): AtelierError {
    const { line, col } = this.#lines.linePos(offset);
    return new AtelierError('invalid_argument', `${this.#path}:${line}:${col}: ${message}`);
  }

  /** Where the value at a path begins, or its key; of what came by an anchor, the place that is nearest. */
  offsetOf(path: Path, part: 'key' | 'value'): number {
    let node: unknown = this.#document.contents;
    let offset = rangeStart(node) ?? 0;
    for (const [index, name] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document);
      let next: unknown;
      let key: unknown;
      if (isMap(node)) {
        const pair = node.items.find(
          (item: Pair) => (isScalar(item.key) ? String(item.key.value) : '') === name,
        );
        key = pair?.key;
        next = pair?.value;
      } else if (isSeq(node)) next = node.items[name as number];
      if (key === undefined && next === undefined) return offset;
      const last = index === path.length - 1;
      offset = (last && part === 'key' ? rangeStart(key) : rangeStart(next)) ?? rangeStart(key) ?? offset;
      node = next;
    }
    return offset;
  }

  /** As the parser's own check does, which takes quadratic time. */
  #refuseRepeatedKeys(): void {
    visit(this.#document, {
      Map: (_key, map) => {
        const seen = new Set<unknown>();
        for (const { key } of map.items) {
          if (!isScalar(key) || key.value === '<<') continue;
          const name = String(key.value);
          if (seen.has(name)) {
            throw this.errorAt(
              rangeStart(key) ?? 0,
              `the key ${JSON.stringify(name)} is given twice. Keep one.`,
            );
          }
          seen.add(name);
        }
      },
    });
  }

  #refuseUnsendable(): void {
    visit(this.#document, {
      Scalar: (_key, { value, range }) => {
        const what = typeof value === 'string' ? whyUnsendable(value) : undefined;
        if (what === undefined) return;
        throw this.errorAt(
          range?.[0] ?? 0,
          `this text has ${what} in it, which no program takes. Remove it.`,
        );
      },
    });
  }

  #problem(message: string, cause?: unknown): AtelierError {
    return new AtelierError('invalid_argument', `${this.#path} ${message}`, { cause });
  }
}

/** One value of the text. The reading methods throw `invalid_argument` when it is of another kind. */
export class Entry {
  readonly value: unknown;
  /** The value's path as people write it: `tasks.test.dependsOn[0]`; empty for the whole file. */
  readonly name: string;
  readonly #reader: Reader;
  readonly #path: Path;

  constructor(reader: Reader, path: Path, value: unknown) {
    this.#reader = reader;
    this.#path = path;
    this.value = value;
    this.name = path
      .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
      .join('')
      .slice(1);
  }

  /** An error about this value; `message` continues its name. */
  error(message: string): AtelierError {
    const offset = this.#reader.offsetOf(this.#path, 'value');
    return this.#reader.errorAt(offset, `${this.name || 'the file'} ${message}`);
  }

  /** An error about the key of this value. */
  keyError(message: string): AtelierError {
    return this.#reader.errorAt(this.#reader.offsetOf(this.#path, 'key'), message);
  }

  /** The value for a sentence. */
  shown(): string {
    if (Array.isArray(this.value)) return 'a list';
    if (this.value === null) return 'nothing';
    if (typeof this.value === 'object') return 'a map';
    const text = JSON.stringify(this.value) ?? String(this.value);
    return `the ${typeof this.value} ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`;
  }

  /** The entries of a map in the order of the text; a key without a value gives an empty map. */
  map(): Map<string, Entry> {
    if (this.value === null) return new Map();
    if (typeof this.value !== 'object' || Array.isArray(this.value)) {
      throw this.error(`must be a map of names to values, not ${this.shown()}.`);
    }
    return new Map(
      Object.entries(this.value).map(([key, value]: [string, unknown]) => [
        key,
        new Entry(this.#reader, [...this.#path, key], value),
      ]),
    );
  }

  /** The entries of a map with known keys; keys without a value are left out. */
  record(known: readonly string[]): Map<string, Entry> {
    const entries = this.map();
    for (const [key, entry] of entries) {
      if (!known.includes(key)) {
        const place = this.name === '' ? 'at the top' : `in ${this.name}`;
        const allowed = known.length === 0 ? 'Nothing may stand here' : `Known here: ${known.join(', ')}`;
        throw entry.keyError(`unknown key ${JSON.stringify(key)} ${place}. ${allowed}.`);
      }
      if (entry.value === null) entries.delete(key);
    }
    return entries;
  }

  /** The entry of a key that must be there, out of the entries of this map. */
  required(entries: ReadonlyMap<string, Entry>, key: string): Entry {
    const entry = entries.get(key);
    if (!entry) throw this.keyError(`${this.name} has no ${key}. Add it.`);
    return entry;
  }

  /** The elements of a list. */
  list(): Entry[] {
    if (!Array.isArray(this.value)) throw this.error(`must be a list, not ${this.shown()}.`);
    return this.value.map((value: unknown, index) => new Entry(this.#reader, [...this.#path, index], value));
  }

  /** Text that may be empty. */
  anyText(): string {
    if (typeof this.value === 'string') return this.value;
    const remedy = typeof this.value === 'object' ? '' : ' Put it in quotes.';
    throw this.error(`must be text, not ${this.shown()}.${remedy}`);
  }

  /** Text that is not empty. */
  text(): string {
    const text = this.anyText();
    if (text.trim() === '') throw this.error('must not be empty.');
    return text;
  }

  /** Text out of a closed list. */
  oneOf(allowed: readonly string[]): string {
    const text = this.anyText();
    if (allowed.includes(text)) return text;
    const listed = allowed.filter((word) => word !== '').join(', ');
    throw this.error(`must be one of ${listed}, not ${this.shown()}.`);
  }

  /** True or false. */
  flag(): boolean {
    if (typeof this.value === 'boolean') return this.value;
    throw this.error(`must be true or false, not ${this.shown()}.`);
  }
}

function rangeStart(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}

function sentence(message: string): string {
  const line = message.split('\n')[0] ?? '';
  return line.endsWith('.') ? line : `${line}.`;
}

/** Counts levels without recursion, so that no text can exhaust the stack; stops beyond the limit. */
function depthOf(root: unknown): number {
  let level: unknown[] = [root];
  let depth = 0;
  while (level.length > 0 && depth <= depthMax) {
    const next = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    ) as unknown[];
    if (next.length > 0) depth += 1;
    level = next;
  }
  return depth;
}
