/** Long suites: each check runs a part of them, which it chooses by chance and prints; `./check --whole` runs all. */
import { expect } from 'vitest';

/** The rows of this run: those of the part that ATELIER_PART names, such as `2/3`, or all without it. */
export function rotating<Row>(rows: readonly Row[]): Row[] {
  const now = partNow();
  return now === undefined ? [...rows] : rows.filter((_, index) => index % now.parts === now.part - 1);
}

/** Why a suite that runs with one of the three parts only is left out of this run; undefined when it is its turn. */
export function notItsTurn(part: 1 | 2 | 3): string | undefined {
  const now = partNow();
  if (now === undefined || now.part === part) return undefined;
  return `it runs with part ${part} of the check: ATELIER_PART=${part}/3 ./check, or ./check --whole`;
}

function partNow(): { readonly part: number; readonly parts: number } | undefined {
  const named = process.env['ATELIER_PART'];
  if (named === undefined) return undefined;
  const [part, parts] = named.split('/').map(Number) as [number, number];
  expect(part >= 1 && part <= parts, `ATELIER_PART must be such as 2/3, not ${named}`).toBe(true);
  return { part, parts };
}
