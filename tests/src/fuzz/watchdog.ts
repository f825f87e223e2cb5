/**
 * A thread beside the one that is fuzzed, which sees that the other makes no progress even when that is busy.
 * `progress` holds, per lane, the index of the input under way plus one, and last the number of inputs that ended.
 */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

const { progress, cpuMsMax, wallMsMax } = workerData as {
  readonly progress: Int32Array;
  readonly cpuMsMax: number;
  readonly wallMsMax: number;
};

const pause = new Int32Array(new SharedArrayBuffer(4));
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const lanes = progress.length - 1;
const seen = Array.from({ length: lanes + 1 }, () => ({ value: 0, wallMs: Date.now(), cpuMs: cpuMs() }));

function end(lane: number, why: string): never {
  const index = Atomics.load(progress, lane) - 1;
  writeSync(2, `hang: input ${index} ${why}\n`);
  process.kill(process.pid, 'SIGKILL');
  process.exit(1);
}

for (;;) {
  Atomics.wait(pause, 0, 0, 100);
  for (const [cell, known] of seen.entries()) {
    const value = Atomics.load(progress, cell);
    if (value !== known.value || value === 0) {
      Object.assign(known, { value, wallMs: Date.now(), cpuMs: cpuMs() });
    } else if (cell === lanes) {
      const under = seen.findIndex((lane) => lane.value !== 0);
      if (under >= 0 && under < lanes && cpuMs() - known.cpuMs > cpuMsMax)
        end(under, `(or one beside it) took more than ${cpuMsMax} ms of CPU`);
    } else if (Date.now() - known.wallMs > wallMsMax) end(cell, `was not answered within ${wallMsMax} ms`);
  }
}
