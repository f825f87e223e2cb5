/** Tables: columns as wide as their widest cell, so that they can be read and cut apart. */

/** A table with its header line; an empty one is its header. Ends with a line break. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows.map((row) => row.map(oneLine))];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Names with values below one another. Values of several lines go on under their first. */
export function formatFacts(facts: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  return facts
    .map(
      ([name, value]) => `${name.padEnd(width)}  ${value.split('\n').join(`\n${' '.repeat(width + 2)}`)}\n`,
    )
    .join('');
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
}
