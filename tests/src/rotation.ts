/** Long tables: each check runs a part of them, which it chooses by chance and prints; `./check --whole` runs all. */
import { expect } from 'vitest';

/** The rows of this run: those of the part that ATELIER_PART names, such as `2/3`, or all without it. */
export function rotating<Row>(rows: readonly Row[]): Row[] {
  const named = process.env['ATELIER_PART'];
  if (named === undefined) return [...rows];
  const [part, parts] = named.split('/').map(Number) as [number, number];
  expect(part >= 1 && part <= parts, `ATELIER_PART must be such as 2/3, not ${named}`).toBe(true);
  return rows.filter((_, index) => index % parts === part - 1);
}
