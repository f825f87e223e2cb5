/**
 * One thread that runs simulations on sources with one mistake in them, until a rule is broken. The mistake is
 * made while the modules are loaded; the files stay as they are.
 */
import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { AtelierError } from '@atelier/api';
import type { Finding, Search } from './mutation-search.ts';
import type { RunOptions } from './run.ts';

Error.stackTraceLimit = 0;
const { mutation, seedsMax, shrinkRunsMax } = workerData as Search;
let applied = false;
registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(`/packages/${mutation.file}`)) return loaded;
    const parts = String(loaded.source).split(mutation.from);
    applied = parts.length === 2;
    return { ...loaded, source: parts.join(mutation.to) };
  },
});

parentPort?.postMessage(await find(), []);

async function find(): Promise<Finding | undefined> {
  const { simulate } = await import('./run.ts');
  const { calmWorld, roughWorld } = await import('./world/faults.ts');
  if (!applied) {
    throw new AtelierError(
      'failed_precondition',
      `The mutation does not apply to ${mutation.file} any more.`,
    );
  }
  // Single faults hide some mistakes behind retries, and others show by them only.
  const calmer = { ...roughWorld, driverError: 0, driverFinalError: 0, driverDelay: 0, diskError: 0 };
  // A scenario is of the world that everybody runs.
  const worlds = shrinkRunsMax > 0 ? [roughWorld] : [calmWorld, calmer, roughWorld];
  const size = { environments: 3, hours: 3, stopAtFirst: true };
  for (let seed = 1; seed <= seedsMax; seed += 1) {
    const faults = worlds[(seed - 1) % worlds.length];
    const { violations } = await simulate({ seed, ...size, faults });
    const [violation] = violations;
    if (violation === undefined) continue;
    const finding = { seed, oracle: violation.oracle, message: violation.message };
    return shrinkRunsMax > 0 ? { ...finding, scenario: await scenarioOf({ seed, ...size }) } : finding;
  }
  return undefined;
}

async function scenarioOf(run: RunOptions): Promise<string> {
  const { shrink } = await import('./shrink.ts');
  const { writeScenario } = await import('./scenario.ts');
  const shrunk = await shrink(run, shrinkRunsMax);
  if (shrunk === undefined) throw new AtelierError('internal', 'The same seed breaks no rule any more.');
  return writeScenario(shrunk.scenario, `${mutation.mistake}\n${shrunk.violation.oracle}`);
}
