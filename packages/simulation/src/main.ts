/**
 * Runs simulations from the command line:
 * `node packages/simulation/src/main.ts --seeds 20 --environments 10 --hours 24 [--seed 1] [--trace]`.
 * Prints what was met and a digest; exits with 1 and the violations when an oracle was broken.
 */
import { parseArgs } from 'node:util';
import { simulate } from './run.ts';
import { summaryOf } from './summary.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10' },
    environments: { type: 'string', default: '8' },
    hours: { type: 'string', default: '24' },
    seed: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const tell = (atMs: number, line: string): void => console.log(`${new Date(atMs).toISOString()} ${line}`);
const reports = [];
for (let seed = first; seed < first + Number(values.seeds); seed += 1) {
  const options = {
    seed,
    environments: Number(values.environments),
    hours: Number(values.hours),
    ...(values.trace && { tell, stopAtFirst: true }),
  };
  const report = await simulate(options);
  reports.push(report);
  for (const { oracle, atMs, environmentId, message } of report.violations) {
    console.error(`seed ${seed}: ${new Date(atMs).toISOString()} ${oracle}: ${environmentId}: ${message}`);
  }
}
console.log(summaryOf(reports));
process.exitCode = reports.some(({ violations }) => violations.length > 0) ? 1 : 0;
