/** Copies of what a store keeps: messages and small records, which are trees of plain objects. */

/** A deep copy; every text in it is shown to `look`, which may refuse it by throwing. */
export function copyOf<Value>(value: Value, look?: (text: string) => void): Value {
  if (typeof value === 'string') look?.(value);
  return typeof value === 'object' && value !== null ? (copyOfObject(value, look) as Value) : value;
}

function copyOfObject(value: object, look: ((text: string) => void) | undefined): object {
  if (Array.isArray(value)) return value.map((each: unknown) => copyOf(each, look));
  if (value instanceof Uint8Array) return value.slice();
  const from = value as Record<string, unknown>;
  const copy: Record<string, unknown> = {};
  for (const key in from) {
    const each = from[key];
    if (typeof each === 'string') {
      look?.(each);
      copy[key] = each;
    } else copy[key] = typeof each === 'object' && each !== null ? copyOfObject(each, look) : each;
  }
  return copy;
}
