/** One thread of the pool: answers each run that it is sent with its report. */
import { parentPort } from 'node:worker_threads';
import { simulate, type RunOptions } from './run.ts';

// Errors are values here, thousands of them, and nobody reads where they were made.
Error.stackTraceLimit = 0;

parentPort?.on('message', (run: RunOptions) => {
  void simulate(run).then((report) => parentPort?.postMessage(report, []));
});
