/**
 * Arguments of the command line, up to the daemon: commands that need it are told that it is not there. `doctor`
 * and `daemon serve` are left out, since they act on the machine at once.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { systemClock, systemRandom } from '@atelier/api/system';
import { createContext, exitCodes, runCommand, type CommandContext } from '@atelier/cli/command-line';
import { between, pick } from '@atelier/simulation/random';
import { chance, hostileNumbers, hostileTexts, mutateText } from '../mutate.ts';
import type { Target } from '../target.ts';

const commands = [
  'up',
  'ls',
  'status',
  'stop',
  'start',
  'delete',
  'events',
  'shell',
  'exec',
  'logs',
  'forward',
  'version',
  'help',
  'task list',
  'task start',
  'task stop',
  'task logs',
  'service list',
  'service start',
  'service stop',
  'service logs',
  'service restart',
  'daemon start',
  'daemon stop',
  'daemon status',
  'daemon logs',
  'task',
  '',
] as [string, ...string[]];
const options = [
  '-o',
  '--output',
  '-o=json',
  '-ojson',
  '--output=table',
  'json',
  'table',
  '-f',
  '--follow',
  '-t',
  '--terminal',
  '--',
  '--name',
  '--class',
  '--rebuild',
  '--plane',
  '--runner',
  '--port',
  '--port=',
  '--database-url',
  '--driver',
  'oci',
  '--inherit-host',
  '--no-inherit-host',
  '-h',
  '--help',
  '-V',
  '--version',
  '-',
  '---',
  '--no-',
  '-fo',
  '--__proto__',
  'postgres://u@h/d',
  'https://example.test/a/b.git',
  'git@host:a/b',
  'ssh://x',
  'file:///',
  'http://[',
  '.',
  '/',
  './x',
  'guestbook',
  '8080',
  '8080:9090',
  '0:0',
  '70000',
  '1:',
  ':1',
  'simulated',
  'a b',
  '0190dddd-0000-7000-8000-000000000001',
] as [string, ...string[]];
const grammar = { texts: options, tokens: options, lengthMax: 200 };

/** The target. */
export const commandLine: Target = {
  make(random) {
    const words: string[] = pick(random, commands).split(' ').filter(Boolean);
    for (let count = between(random, 0, 5); count > 0; count -= 1) {
      const word = chance(random, 0.6) ? pick(random, options) : mutateText(random, grammar);
      words.push(word);
      if (chance(random, 0.1)) words.push(pick(random, hostileTexts));
      if (chance(random, 0.05)) words.push(String(pick(random, hostileNumbers)));
    }
    return words;
  },
  async open() {
    const folder = await mkdtemp(join(tmpdir(), 'atelier-fuzz-'));
    return {
      async run(input) {
        const words = input as readonly string[];
        if (words.some((word) => word === 'doctor' || word === 'serve')) return 'left out';
        const said = await listen(() => runCommand(contextIn(folder), ['node', 'atelier', ...words]));
        if (/\n\s+at \S+ ?\(?.*:\d+/.test(said.text)) throw new Error(`it prints a stack: ${said.text}`);
        const answer = nameOf(said.code);
        if (said.code !== 0 && said.text.trim() === '') throw new Error('it fails without a word');
        return answer;
      },
      close: () => rm(folder, { recursive: true }),
    };
  },
};

function contextIn(folder: string): CommandContext {
  const away = (): never => {
    throw new AtelierError('unavailable', 'there is no daemon here');
  };
  const context = createContext(
    {
      clock: systemClock,
      random: systemRandom,
      pid: process.pid,
      isRoot: false,
      userHome: folder,
      workingFolder: folder,
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      variable: (name) => (name === 'ATELIER_HOME' ? folder : undefined),
      onSignal: () => () => undefined,
    },
    '1',
  );
  return { ...context, connect: async () => away(), starter: away };
}

/** Runs a command and keeps what it prints. */
async function listen(run: () => Promise<number>): Promise<{ readonly code: number; readonly text: string }> {
  const streams = [process.stdout, process.stderr];
  const before = streams.map((stream) => stream.write);
  let text = '';
  for (const stream of streams)
    stream.write = (part: string | Uint8Array): boolean => ((text += String(part)), true);
  try {
    return { code: await run(), text };
  } finally {
    for (const [index, stream] of streams.entries()) stream.write = before[index] ?? stream.write;
  }
}

function nameOf(code: number): string {
  if (code === 0) return 'ok';
  // What `exec` and `shell` fail with before anything ran inside.
  if (code === 255) return 'own failure';
  const name = Object.entries(exitCodes).find(([, each]) => each === code)?.[0];
  if (name === undefined || name === 'internal' || name === 'data_loss')
    throw new Error(`the exit code ${code} is not one that may be answered`);
  return name;
}
