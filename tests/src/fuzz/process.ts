/** A target in a process of its own, which may end in any way. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { RunOptions, RunReport } from './run.ts';

/** Runs a target; a process that hangs or dies is a finding like any other. */
export async function runInProcess(options: RunOptions): Promise<RunReport> {
  const child = fork(join(import.meta.dirname, 'child.ts'), [JSON.stringify(options)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let report: RunReport | undefined;
  let said = '';
  child.on('message', (message) => (report = message as RunReport));
  child.stderr?.on('data', (data: Buffer) => (said = (said + data.toString()).slice(-4000)));
  const code = await new Promise<string>((resolve) => {
    child.once('close', (exitCode, signal) => resolve(signal ?? String(exitCode)));
  });
  if (report !== undefined) return report;
  const index = Number(/^hang: input (\d+)/m.exec(said)?.[1] ?? -1);
  const error = `the process ended with ${code}:\n${said}`;
  return { ...options, seconds: 0, answers: {}, heapBytes: [0, 0], findings: [{ index, input: '', error }] };
}

/** What a person wants to know of a run, as lines. */
export function linesOf(report: RunReport): string {
  const { name, seed, inputs, seconds, answers, heapBytes, findings } = report;
  const [early, late] = heapBytes.map((bytes) => (bytes / 2 ** 20).toFixed(1));
  const said = Object.entries(answers)
    .sort(([, one], [, other]) => other - one)
    .map(([answer, count]) => `${answer} ${count}`);
  return [
    `${name}: seed ${seed}, ${inputs} inputs in ${seconds.toFixed(1)} s, heap ${early} MiB at a fifth and ${late} MiB at the end`,
    `  ${said.join(', ')}`,
    ...findings.flatMap(({ index, input, error }) => [
      `  FOUND at input ${index} (pnpm fuzz ${name} --seed ${seed} --input ${index}): ${error}`,
      `    ${input}`,
    ]),
  ].join('\n');
}
