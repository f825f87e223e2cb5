/**
 * Runs simulations from the command line:
 * `node packages/simulation/src/main.ts --seeds 20 --environments 10 --hours 24 [--seed 1] [--workers 2]`.
 * Prints what was met and a digest; exits with 1 and the violations when a rule was broken. The first seed that
 * breaks one is made smaller, and printed as a scenario that can be kept. `--trace` runs one seed here and
 * prints everything up to its first violation; `--scenario <file>` does so for a scenario.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { simulateMany, workersDefault } from './pool.ts';
import { simulate, type RunOptions, type RunReport } from './run.ts';
import { readScenario, replayOf, writeScenario } from './scenario.ts';
import { shrink } from './shrink.ts';
import { summaryOf, violationText } from './summary.ts';
import { stopwatch } from './system.ts';

const shrinkRunsMax = 200;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10' },
    environments: { type: 'string', default: '8' },
    hours: { type: 'string', default: '24' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: String(workersDefault) },
    trace: { type: 'boolean', default: false },
    scenario: { type: 'string' },
  },
});
const size = { environments: Number(values.environments), hours: Number(values.hours) };
const first = Number(values.seed);
const runs: RunOptions[] =
  values.scenario === undefined
    ? Array.from({ length: values.trace ? 1 : Number(values.seeds) }, (_, index) => ({
        seed: first + index,
        ...size,
      }))
    : [replayOf(readScenario(readFileSync(values.scenario, 'utf8')))];

const secondsSince = stopwatch();
const reports: RunReport[] = [];
const take = (report: RunReport): void => {
  reports.push(report);
  for (const violation of report.violations) console.error(violationText(report.seed, violation));
};
if (values.trace || values.scenario !== undefined) {
  const tell = (atMs: number, line: string): void => console.log(`${new Date(atMs).toISOString()} ${line}`);
  for (const run of runs) take(await simulate({ ...run, ...(values.trace && { tell }), stopAtFirst: true }));
} else await simulateMany(runs, Number(values.workers), take);

reports.sort((one, other) => one.seed - other.seed);
console.log(summaryOf(reports, secondsSince()));
const broken = reports.find(({ violations }) => violations.length > 0);
if (broken !== undefined) {
  process.exitCode = 1;
  if (values.scenario === undefined && !values.trace) await printScenario({ seed: broken.seed, ...size });
}

async function printScenario(run: RunOptions): Promise<void> {
  const shrunk = await shrink(run, shrinkRunsMax);
  if (shrunk === undefined) return;
  const { scenario, violation, runs: count } = shrunk;
  const text = writeScenario(scenario, `${violation.oracle}: ${violation.message}`);
  console.log(
    `\nthe smallest scenario of ${count} runs; keep it in packages/simulation/scenarios/:\n${text}`,
  );
}
