/** JSON on stdout. */

/** A value as indented text with a line break at its end. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
