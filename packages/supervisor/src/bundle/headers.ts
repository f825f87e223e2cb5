/**
 * HTTP headers for the bundle, in the place of the runtime's own. The first use of those loads the runtime's whole
 * `fetch`, a tenth of the time until a supervisor answers, and nothing in it is used. What is known of Headers by
 * connect is here; names and values are checked by http2 when they are sent.
 */

type HeadersInit = Iterable<readonly string[]> | Readonly<Record<string, string>>;

/** The class that the bundle means by `Headers`: names without case, several values of a name joined by a comma. */
export class Headers {
  readonly #values = new Map<string, string>();

  constructor(init: HeadersInit = {}) {
    const entries = Symbol.iterator in init ? init : Object.entries(init);
    for (const [name = '', value = ''] of entries) this.append(name, value);
  }

  append(name: string, value: string): void {
    const before = this.get(name);
    this.set(name, before === null ? value : `${before}, ${value}`);
  }

  set(name: string, value: string): void {
    this.#values.set(name.toLowerCase(), String(value).trim());
  }

  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this) callback(value, name, this);
  }

  entries(): IterableIterator<[string, string]> {
    return this[Symbol.iterator]();
  }

  keys(): IterableIterator<string> {
    return [...this].map(([name]) => name).values();
  }

  values(): IterableIterator<string> {
    return [...this].map(([, value]) => value).values();
  }

  /** In the order of their names, as in the standard. */
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return [...this.#values].sort(([left], [right]) => (left < right ? -1 : 1)).values();
  }
}
