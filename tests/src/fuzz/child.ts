/** One run in a process of its own; `main.ts` starts it and reads the report that it sends. */
import { targets } from './targets.ts';
import { runTarget, type RunOptions } from './run.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as RunOptions;
const load = targets[options.name];
if (load === undefined) throw new Error(`there is no target ${options.name}`);
const report = await runTarget(await load(), options);
process.send?.(report, () => process.exit(0));
