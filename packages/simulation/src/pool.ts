/** Runs many simulations on several cores: each worker is a thread that takes one seed after the other. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { RunOptions, RunReport } from './run.ts';

/** How many workers there are unless somebody says so. */
export const workersDefault = availableParallelism();

/** More than a run needs: a leak ends the worker and not the machine. */
const heapMbMax = 1500;
/** Most objects of a run are dead within a message: a large nursery saves most of the collector's work. */
const nurseryMbMax = 96;

/** Runs each, and tells of each report as it comes, in whatever order. Rejects when a worker dies. */
export async function simulateMany(
  runs: readonly RunOptions[],
  workers: number,
  onReport: (report: RunReport) => void,
): Promise<void> {
  const waiting = [...runs];
  const count = Math.min(workers, runs.length);
  await Promise.all(Array.from({ length: count }, () => work(waiting, onReport)));
}

async function work(waiting: RunOptions[], onReport: (report: RunReport) => void): Promise<void> {
  const worker = new Worker(new URL('./pool-worker.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: heapMbMax, maxYoungGenerationSizeMb: nurseryMbMax },
  });
  try {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      onReport(await reportOf(worker, run));
    }
  } finally {
    await worker.terminate();
  }
}

function reportOf(worker: Worker, run: RunOptions): Promise<RunReport> {
  return new Promise((resolve, reject) => {
    const forget = (): void => {
      worker.off('message', onMessage);
      worker.off('error', onError);
    };
    const onMessage = (report: RunReport): void => {
      forget();
      resolve(report);
    };
    const onError = (error: unknown): void => {
      forget();
      reject(error as Error);
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.postMessage(run, []);
  });
}
