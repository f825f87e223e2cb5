/** What runs came to, as text for a person. */
import { createHash } from 'node:crypto';
import type { RunReport } from './run.ts';

/** Adds the counts of several runs up. */
export function totals(
  reports: readonly RunReport[],
  of: (report: RunReport) => Readonly<Record<string, number>>,
): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const report of reports) {
    for (const [name, count] of Object.entries(of(report))) sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}

/** Environment-hours, faults by kind, phases, actions, violations and one digest over all runs. */
export function summaryOf(reports: readonly RunReport[]): string {
  const hash = createHash('sha256');
  for (const { digest } of reports) hash.update(digest);
  const counted = (name: string, counts: Record<string, number>): string =>
    `${name.padEnd(18)}${Object.entries(counts)
      .map(([key, count]) => `${key} ${count}`)
      .join(', ')}`;
  const sum = (of: (report: RunReport) => number): number => reports.reduce((all, each) => all + of(each), 0);
  return [
    `environment-hours ${sum(({ environmentHours }) => environmentHours)}`,
    `passes            ${sum(({ passes }) => passes)}`,
    counted(
      'faults',
      totals(reports, ({ faults }) => faults),
    ),
    counted(
      'phases',
      totals(reports, ({ phases }) => phases),
    ),
    counted(
      'actions',
      totals(reports, ({ actions }) => actions),
    ),
    `violations        ${sum(({ violations }) => violations.length)}`,
    `digest            ${hash.digest('hex').slice(0, 16)}`,
  ].join('\n');
}
