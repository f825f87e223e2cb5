/** What holds for every value that goes on to others. */

/**
 * Throws when a text in the value cannot go over the wire (half a surrogate pair) or into a program's arguments
 * and variables (a NUL).
 */
export function requireSendable(value: unknown): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed())
      throw new Error(`a text with half a character is let through: ${JSON.stringify(value)}`);
    if (value.includes('\0')) throw new Error(`a text with a NUL is let through: ${JSON.stringify(value)}`);
  } else if (Array.isArray(value)) value.forEach(requireSendable);
  else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const [key, part] of Object.entries(value)) {
      requireSendable(key);
      requireSendable(part);
    }
  }
}

const before = new Set(Object.getOwnPropertyNames(Object.prototype));

/** Throws when something was written to what every object inherits from. */
export function requireCleanPrototypes(): void {
  const names = Object.getOwnPropertyNames(Object.prototype);
  if (names.length === before.size) return;
  const added = names.filter((name) => !before.has(name));
  for (const name of added) Reflect.deleteProperty(Object.prototype, name);
  throw new Error(`every object has got ${added.join(', ')}`);
}
