/** What a run found: a table for people, a file for later comparison. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import type { Conditions } from './conditions.ts';
import type { Figures, Row } from './rounds.ts';

/** A row with its figures. */
export interface JudgedRow extends Row {
  readonly group: string;
  readonly figures: Figures;
  readonly peerFigures: Figures;
  readonly ratio: number;
  readonly verdict: 'within' | 'over' | 'not judged';
}

/** Judges the rows of a group by the figures of its lines; a row whose lines were not measured is left out. */
export function judge(
  group: string,
  rows: readonly Row[],
  figures: ReadonlyMap<string, Figures>,
): JudgedRow[] {
  return rows.flatMap((row) => {
    const [own, peer] = [figures.get(row.line), figures.get(row.peerLine)];
    if (own === undefined || peer === undefined) return [];
    const ratio = own.medianMs / peer.medianMs;
    const verdict = row.ratioMax === undefined ? 'not judged' : ratio <= row.ratioMax ? 'within' : 'over';
    return [{ ...row, group, figures: own, peerFigures: peer, ratio, verdict }];
  });
}

/** The table that is printed. */
export function tableOf(rows: readonly JudgedRow[]): string {
  const header = ['what', 'atelier ms', 'peer', 'peer ms', 'ratio', 'budget', 'verdict'];
  const cells = rows.map((row) => [
    row.what,
    span(row.figures),
    row.peerLine,
    span(row.peerFigures),
    row.ratio.toFixed(3),
    row.ratioMax === undefined ? '-' : `<= ${row.ratioMax}`,
    row.verdict,
  ]);
  const widths = header.map((name, index) =>
    Math.max(name.length, ...cells.map((row) => row[index]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd();
  return [header, ...cells].map(line).join('\n');
}

function span({ medianMs, minMs, maxMs }: Figures): string {
  return `${medianMs.toFixed(1)} (${minMs.toFixed(1)}-${maxMs.toFixed(1)})`;
}

/** Writes the run down below `folder` and gives the path. */
export function writeResults(
  folder: string,
  conditions: Conditions,
  runs: number,
  rows: readonly JudgedRow[],
): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${conditions.date.slice(0, 10)}-${conditions.commit}.json`);
  const results = { conditions: { ...conditions, loadAfter: loadavg() }, runs, rows };
  writeFileSync(path, `${JSON.stringify(results, undefined, 2)}\n`);
  return path;
}
