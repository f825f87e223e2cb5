import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestTotals } from './check-reporter.ts';

/** One line of the check: a name to print and the command whose exit code decides. */
interface Step {
  name: string;
  command: string[];
  env?: Record<string, string>;
  cwd?: string;
  /** Test runs print as they go; the other steps print only when they fail. */
  live?: boolean;
  /** What to do when it fails. */
  advice?: string;
}

const quick = process.argv.includes('--quick');
const whole = process.argv.includes('--whole');
const guest = process.argv.includes('--guest');
const given = process.argv.slice(2);
const known = ['--quick', '--whole', '--guest'];
if (given.length > 1 || !given.every((argument) => known.includes(argument))) {
  console.error(
    `check: ${given.join(' ')} is not understood. Use ./check, or one of ./check ${known.join(', ./check ')}.`,
  );
  process.exit(2);
}
// Long tables are run in parts, by chance, so that each row has its turn and the check stays short.
const partCount = 3;
const part = process.env['ATELIER_PART'] ?? `${1 + Math.floor(Math.random() * partCount)}/${partCount}`;
if (!whole && !guest)
  console.log(`long tables: part ${part}; ATELIER_PART=${part} takes it again, --whole all of them`);
const scratch = mkdtempSync(join(tmpdir(), 'atelier-check-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
let running: ChildProcess | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    running?.kill('SIGTERM');
    process.exit(130);
  });
}
const totalsPath = join(scratch, 'totals');

function steps(): Step[] {
  if (guest) {
    const command = ['node', 'tools/guest.ts'];
    return [{ name: 'guest', command, env: { ATELIER_CHECK_TOTALS: totalsPath }, live: true }];
  }
  const generated = join(scratch, 'generated');
  const list: Step[] = [
    { name: 'api definition', command: ['pnpm', 'exec', 'buf', 'lint'], cwd: 'packages/api' },
    {
      name: 'generate',
      command: ['pnpm', 'exec', 'buf', 'generate', '--output', generated],
      cwd: 'packages/api',
    },
    {
      name: 'generated code',
      command: ['diff', '-r', '-q', 'packages/api/gen', join(generated, 'gen')],
      advice:
        'packages/api/gen is not what packages/api/proto generates: pnpm generate, and commit both together',
    },
    { name: 'format', command: ['oxfmt', '--check'], advice: 'pnpm format' },
    { name: 'lint', command: ['oxlint', '--deny-warnings'] },
    { name: 'types', command: ['tsc', '--noEmit'] },
    { name: 'unused', command: ['knip', '--no-progress', '--no-config-hints'] },
    vitest('tidy, unit, simulation', 'unit'),
  ];
  if (quick) return list;
  // As a user runs it: packed, with its compiled form kept.
  const packed = {
    ATELIER_COMMAND_LINE: resolve('packages/cli/dist/main.mjs'),
    NODE_COMPILE_CACHE: resolve('.toolchain/compile-cache'),
  };
  list.push({ name: 'command line, packed', command: ['node', 'tools/bundle-cli.ts'] });
  list.push(vitest('container tests', 'container', packed));
  return list;
}

function vitest(name: string, project: string, env: Record<string, string> = {}): Step {
  const reporters = ['--reporter=default', '--reporter=./tools/check-reporter.ts'];
  return {
    name,
    command: ['vitest', 'run', '--project', project, '--passWithNoTests', ...reporters],
    env: { ATELIER_CHECK_TOTALS: totalsPath, ...(!whole && { ATELIER_PART: part }), ...env },
    live: true,
  };
}

// The corpus is data of other people that is not part of the repository: tests that read it are skipped without it.
function corpusFolder(): string {
  const folder = process.env['ATELIER_CORPUS'] ?? resolve('../shared/corpus');
  const present = existsSync(folder);
  console.log(
    present
      ? `corpus: ${folder}`
      : 'corpus: not there, set ATELIER_CORPUS to its folder; its tests are skipped',
  );
  return present ? folder : '';
}

function run(step: Step, corpus: string): Promise<boolean> {
  const [program = '', ...args] = step.command;
  const startedMs = performance.now();
  const plain = process.stdout.isTTY ? {} : { NO_COLOR: '1' };
  const env = { ...process.env, ...plain, ...step.env, ...(corpus === '' ? {} : { ATELIER_CORPUS: corpus }) };
  if (step.live) console.log(`---- ${step.name}`);
  return new Promise((done) => {
    const stdio = step.live
      ? (['ignore', 'inherit', 'inherit'] as const)
      : (['ignore', 'pipe', 'pipe'] as const);
    const child = spawn(program, args, { cwd: step.cwd, env, stdio: [...stdio] });
    running = child;
    const heartbeat = setInterval(() => {
      console.log(`...  ${step.name} runs since ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
    }, 60_000);
    const output: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => output.push(chunk));
    child.on('error', (error) => output.push(Buffer.from(`${error.message}\n`)));
    child.on('close', (code) => {
      clearInterval(heartbeat);
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${step.name} (${seconds} s)`);
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      if (code !== 0 && step.advice !== undefined) console.log(`     what to do: ${step.advice}`);
      done(code === 0);
    });
  });
}

function readTotals(): TestTotals {
  const sum: TestTotals = { passed: 0, failed: 0, skipped: [] };
  if (!existsSync(totalsPath)) return sum;
  for (const line of readFileSync(totalsPath, 'utf8').split('\n').filter(Boolean)) {
    const totals = JSON.parse(line) as TestTotals;
    sum.passed += totals.passed;
    sum.failed += totals.failed;
    sum.skipped.push(...totals.skipped);
  }
  return sum;
}

// Tests clean up after themselves; what a killed run left is named, because it makes the next run lie.
function reportLeftovers(): void {
  if (process.getuid?.() !== 0 || !existsSync('/run/atelier')) return;
  const claims = spawnSync('find', ['/run/atelier', '-mindepth', '1', '-maxdepth', '1'], {
    encoding: 'utf8',
  });
  const names = claims.stdout.trim().split('\n').filter(Boolean);
  if (names.length > 0)
    console.log(`note: ${names.length} folders under /run/atelier, of running or killed daemons`);
}

const startedMs = performance.now();
const corpus = corpusFolder();
const failed: string[] = [];
for (const step of steps()) if (!(await run(step, corpus))) failed.push(step.name);
const totals = readTotals();
for (const { name, reason } of totals.skipped) console.log(`skipped: ${name}: ${reason}`);
reportLeftovers();
// A guest that cannot be run here is among the skipped.
const ran = totals.passed + totals.failed + (guest ? totals.skipped.length : 0);
if (ran === 0) failed.push('no test ran');
if (totals.failed > 0 && failed.length === 0) failed.push('tests');
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
console.log(
  failed.length === 0 ? `check passed in ${seconds} s` : `check FAILED in ${seconds} s: ${failed.join(', ')}`,
);
const skipped = totals.skipped.length > 0 ? `, ${totals.skipped.length} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exit(failed.length === 0 ? 0 : 1);
