/**
 * Plants every mutation and looks for it: `node packages/simulation/src/mutation-main.ts [--of words] [--scenario]`.
 * Exits with 1 when one was not found or does not apply; `--scenario` prints the smallest run that shows it.
 */
import { parseArgs } from 'node:util';
import { toAtelierError } from '@atelier/api';
import { findMutation } from './mutation-search.ts';
import { mutations } from './mutations.ts';
import { stopwatch } from './system.ts';

const seedsMax = 100;
const limitMs = 600_000;
const shrinkRunsMax = 150;

const { values } = parseArgs({
  options: { of: { type: 'string', default: '' }, scenario: { type: 'boolean', default: false } },
});
for (const mutation of mutations.filter(({ mistake }) => mistake.includes(values.of))) {
  const secondsSince = stopwatch();
  const search = { mutation, seedsMax, shrinkRunsMax: values.scenario ? shrinkRunsMax : 0 };
  const line = (what: string): void =>
    console.log(`${secondsSince().toFixed(0).padStart(4)} s  ${mutation.mistake}: ${what}`);
  try {
    const finding = await findMutation(search, limitMs);
    if (finding === undefined) process.exitCode = 1;
    line(finding === undefined ? 'NOT FOUND' : `seed ${finding.seed}, ${finding.oracle}: ${finding.message}`);
    if (finding?.scenario !== undefined) console.log(finding.scenario);
  } catch (error) {
    process.exitCode = 1;
    line(`FAILED: ${toAtelierError(error).message}`);
  }
}
