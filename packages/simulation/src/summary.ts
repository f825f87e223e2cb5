/** What runs came to, as text for a person. */
import { createHash } from 'node:crypto';
import type { Violation } from './view.ts';
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

/** One violation as a line. */
export function violationText(seed: number, { oracle, atMs, environmentId, message }: Violation): string {
  return `seed ${seed}: ${new Date(atMs).toISOString()} ${oracle}: ${environmentId}: ${message}`;
}

/** Environment-hours and their pace, faults, phases, states of plans, actions, violations, and one digest. */
export function summaryOf(reports: readonly RunReport[], tookSeconds: number): string {
  const hash = createHash('sha256');
  for (const { digest } of reports) hash.update(digest);
  const line = (name: string, text: string): string => `${name.padEnd(18)}${text}`;
  const counted = (of: (report: RunReport) => Readonly<Record<string, number>>): string =>
    Object.entries(totals(reports, of))
      .map(([key, count]) => `${key} ${count}`)
      .join(', ');
  const sum = (of: (report: RunReport) => number): number => reports.reduce((all, each) => all + of(each), 0);
  const environmentHours = sum((report) => report.environmentHours);
  const plans = Object.entries(totals(reports, (report) => report.plans));
  const never = plans.filter(([, count]) => count === 0).map(([state]) => state);
  return [
    line(
      'environment-hours',
      `${environmentHours}, ${(environmentHours / tookSeconds).toFixed(1)} per second`,
    ),
    line('passes', String(sum((report) => report.passes))),
    line(
      'faults',
      counted(({ faults }) => faults),
    ),
    line(
      'phases',
      counted(({ phases }) => phases),
    ),
    line(
      'actions',
      counted(({ actions }) => actions),
    ),
    line('states of plans', `${plans.length - never.length} of ${plans.length}`),
    line(
      '',
      counted((report) => report.plans),
    ),
    ...(never.length > 0 ? [line('never met', never.join(', '))] : []),
    line('violations', String(sum(({ violations }) => violations.length))),
    line('digest', hash.digest('hex').slice(0, 16)),
  ].join('\n');
}
