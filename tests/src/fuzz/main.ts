/**
 * `pnpm fuzz [target...] [--inputs 100000] [--seed 1] [--input I]`: gives made-up and damaged inputs to everything
 * that reads what others send. Equal seeds give equal inputs; `--input` repeats one of them. Exits with 1 when
 * an input crashed, hung, or was answered with anything but one of our own errors.
 */
import { parseArgs } from 'node:util';
import { linesOf, runInProcess } from './process.ts';
import { targets } from './targets.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    inputs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    input: { type: 'string' },
  },
});
const wanted = positionals.length > 0 ? positionals : Object.keys(targets);
const unknown = wanted.find((name) => !Object.hasOwn(targets, name));
if (unknown !== undefined) {
  console.error(`there is no target ${unknown}; there are: ${Object.keys(targets).join(', ')}`);
  process.exit(2);
}
const only = values.input === undefined ? undefined : Number(values.input);
for (const name of wanted) {
  const report = await runInProcess({ name, seed: Number(values.seed), inputs: Number(values.inputs), only });
  console.log(linesOf(report));
  if (report.findings.length > 0) process.exitCode = 1;
}
