/** `pnpm bench [row-group...] [--runs N] [--keep]`: measures, reports, and fails when a budget is not kept. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AtelierError, toAtelierError } from '@atelier/api';
import { conditionsOf } from './conditions.ts';
import { openExecGroup } from './groups/exec.ts';
import { openStartGroup } from './groups/start.ts';
import { rootFolder, withPlace, type Place } from './place.ts';
import { judge, tableOf, writeResults, type JudgedRow } from './report.ts';
import { measure, type RowGroup } from './rounds.ts';

const groups: Readonly<Record<string, (place: Place) => Promise<RowGroup>>> = {
  start: openStartGroup,
  exec: openExecGroup,
};
const runsMin = 5;

const say = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

process.exitCode = await main().catch((thrown: unknown) => {
  say(toAtelierError(thrown).message);
  return 2;
});

async function main(): Promise<number> {
  const { names, runs, keep } = readArguments();
  installPrograms();
  const rows = await withPlace(keep, say, async (place) => {
    const conditions = await conditionsOf(place);
    const judged: JudgedRow[] = [];
    for (const name of names) judged.push(...(await runGroup(name, place, runs)));
    say(`written to ${writeResults(join(rootFolder, 'bench/results'), conditions, runs, judged)}`);
    return judged;
  });
  process.stdout.write(`${tableOf(rows)}\n`);
  return rows.some(({ verdict }) => verdict === 'over') ? 1 : 0;
}

async function runGroup(name: string, place: Place, runs: number): Promise<JudgedRow[]> {
  const group = await groups[name]?.(place);
  if (group === undefined) return [];
  try {
    return judge(group.name, group.rows, await measure(group, runs, say));
  } finally {
    await group.close();
  }
}

function readArguments(): { names: readonly string[]; runs: number; keep: boolean } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: String(runsMin) },
      keep: { type: 'boolean', default: false },
    },
  });
  const unknown = positionals.filter((name) => !(name in groups));
  if (unknown.length > 0) {
    const message = `there is no row group ${unknown.join(', ')}: there are ${Object.keys(groups).join(', ')}`;
    throw new AtelierError('invalid_argument', message);
  }
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) {
    throw new AtelierError('invalid_argument', `--runs takes a number of runs, not ${values.runs}`);
  }
  if (runs < runsMin)
    say(`a median of ${runs} runs proves nothing: budgets are judged on ${runsMin} or more`);
  return { names: positionals.length > 0 ? positionals : Object.keys(groups), runs, keep: values.keep };
}

/** Debian packages of the daemon and of the peers, by the one list and the one place that installs them. */
function installPrograms(): void {
  const script = '. "$root/tools/bootstrap.sh"; ensure_os_packages runtime bench';
  const { status } = spawnSync('sh', ['-c', script], {
    env: { ...process.env, root: rootFolder },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new AtelierError('failed_precondition', 'the programs of the peers are missing');
}
