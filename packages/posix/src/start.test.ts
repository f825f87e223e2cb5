import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { describe, expect, it } from 'vitest';
import { makeStarter, type ProcessStart, type StartedProcess } from './index.ts';

const start = makeStarter(koffi);

function started(
  program: string,
  words: readonly string[],
  more: Partial<ProcessStart> = {},
): StartedProcess {
  const made = start({ program, words, variables: { PATH: '/usr/bin:/bin' }, folder: '/', ...more });
  expect(made).not.toHaveProperty('errno');
  return made as StartedProcess;
}

async function textOf(stream: Socket | undefined): Promise<string> {
  let text = '';
  stream?.on('data', (data: Buffer) => (text += data.toString()));
  if (stream) await once(stream, 'close');
  return text;
}

async function said(program: string, words: readonly string[], more: Partial<ProcessStart> = {}) {
  const made = started(program, words, more);
  made.input.on('error', () => {}).end();
  const [end, output, errorOutput] = await Promise.all([
    made.ended,
    textOf(made.output),
    textOf(made.errorOutput),
  ]);
  return { ...end, output, errorOutput };
}

describe('a started process', () => {
  it('gives what it says and how it ended', async () => {
    expect(await said('sh', ['-c', 'echo out; echo err >&2; exit 3'])).toEqual({
      exitCode: 3,
      signal: 0,
      output: 'out\n',
      errorOutput: 'err\n',
    });
    expect(await said('sh', ['-c', 'kill -TERM $$'])).toMatchObject({ exitCode: 0, signal: 15 });
  });

  it('has its folder and its variables, and no more', async () => {
    const { output } = await said('env', [], { variables: { A: 'b=c', EMPTY: '' }, folder: '/tmp' });
    expect(output).toBe('A=b=c\nEMPTY=\n');
    expect((await said('pwd', [], { folder: '/tmp' })).output).toBe('/tmp\n');
  });

  it('leads a session of its own only when it is asked to', async () => {
    const session = ['-c', 'cut -d" " -f1,5,6 /proc/$$/stat'];
    const [pid, group, leader] = (await said('sh', session, { ownSession: true })).output.trim().split(' ');
    expect([group, leader]).toEqual([pid, pid]);
    const [otherPid, otherGroup] = (await said('sh', session)).output.trim().split(' ');
    expect(otherGroup).not.toBe(otherPid);
  });

  it('is refused with the number of the kernel', () => {
    const missing = { program: '/no/such', words: [], variables: {}, folder: '/' };
    expect(start(missing)).toEqual({ errno: 2 });
    expect(start({ ...missing, program: '/usr/bin/env', folder: '/no/such' })).toEqual({ errno: 2 });
    expect(start({ ...missing, program: '/etc/passwd' })).toEqual({ errno: 13 });
  });

  it.each<Partial<ProcessStart>>([
    { program: '/usr/bin/env\0x' },
    { words: ['a\0b'] },
    { variables: { A: 'a\0b' } },
    { folder: '/\0tmp' },
  ])('is refused when a text would be cut at a NUL: %j', (part) => {
    const whole = { program: '/usr/bin/env', words: [], variables: {}, folder: '/' };
    expect(start({ ...whole, ...part })).toEqual({ errno: 22 });
  });

  it('is run by the shell when it is a script that names none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'atelier-posix-'));
    const script = join(folder, 'script');
    writeFileSync(script, 'echo "$1"\n');
    chmodSync(script, 0o755);
    expect((await said(script, ['given'])).output).toBe('given\n');
    rmSync(folder, { recursive: true });
  });

  it('is waited for by a program that has nothing else to do', async () => {
    const index = JSON.stringify(join(import.meta.dirname, 'index.ts'));
    const program = `
      import koffi from ${JSON.stringify(import.meta.resolve('koffi'))};
      import { makeStarter } from ${index};
      const { ended } = makeStarter(koffi)({ program: 'sleep', words: ['0.2'], variables: {}, folder: '/' });
      console.log(JSON.stringify(await ended));`;
    const { output, exitCode } = await said(process.execPath, ['--input-type=module', '-e', program]);
    expect([output, exitCode]).toEqual(['{"exitCode":0,"signal":0}\n', 0]);
  });

  it('can be killed, also when it has ended', async () => {
    const made = started('cat', []);
    made.kill();
    expect(await made.ended).toEqual({ exitCode: 0, signal: 9 });
    made.kill();
    made.input.destroy();
  });

  it('is told apart from others that end in the same moment', async () => {
    const codes = Array.from({ length: 30 }, (_, code) => code);
    const ends = await Promise.all(codes.map((code) => said('sh', ['-c', `exit ${code}`])));
    expect(ends.map(({ exitCode }) => exitCode)).toEqual(codes);
  });

  it('leaves no open file and no listener behind, however it ends', async () => {
    const openFiles = (): number => readdirSync('/proc/self/fd').length;
    const before = openFiles();
    const listeners = process.listenerCount('SIGCHLD');
    await Promise.all(Array.from({ length: 20 }, () => said('true', [])));
    start({ program: '/no/such', words: [], variables: {}, folder: '/' });
    expect(openFiles()).toBe(before);
    expect(process.listenerCount('SIGCHLD')).toBe(listeners);
  });
});
