/** Looks for one mutation, in a thread of its own with a limit of time. */
import { Worker } from 'node:worker_threads';
import type { Mutation } from './mutations.ts';

/** What is looked for, and in how many seeds. */
export interface Search {
  readonly mutation: Mutation;
  readonly seedsMax: number;
  /** Also make it a scenario, in at most so many runs; 0: do not. */
  readonly shrinkRunsMax: number;
}

/** How a mutation was found. */
export interface Finding {
  readonly seed: number;
  readonly oracle: string;
  readonly message: string;
  /** The smallest scenario that shows it, as text; undefined when none was asked for. */
  readonly scenario?: string | undefined;
}

/**
 * Runs seeds until a rule is broken; undefined when none is. Work that never ends is a finding too. Rejects when
 * the mutation does not apply any more.
 */
export function findMutation(search: Search, limitMs: number): Promise<Finding | undefined> {
  const worker = new Worker(new URL('./mutation-worker.ts', import.meta.url), { workerData: search });
  return new Promise<Finding | undefined>((resolve, reject) => {
    const limit = AbortSignal.timeout(limitMs);
    limit.addEventListener('abort', () => {
      resolve({ seed: 0, oracle: 'a run ends', message: `it did not in ${limitMs} ms` });
    });
    worker.once('message', resolve);
    worker.once('error', reject);
  }).finally(() => worker.terminate());
}
