import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeLock } from './lock.ts';
import { isAlive, processIdentity } from './processes.ts';

let folder: string;
const children: ReturnType<typeof spawn>[] = [];
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'atelier-lock-'))));
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  rmSync(folder, { recursive: true, force: true });
});

/** A process that waits for a line, tries to take the lock, says whether it did, and stays. */
const program = `
  import { takeLock } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))};
  process.stdin.once('data', () => {
    const { taken } = takeLock(process.argv[1], 'plane', process.pid);
    process.stdout.write(taken ? 'taken' : 'held');
  });
  process.stdout.write('ready ');
`;

async function contender() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  let said = '';
  child.stdout.on('data', (data: Buffer) => (said += data.toString()));
  await expect.poll(() => said, { timeout: 30_000 }).toContain('ready');
  return { child, said: () => said.slice('ready '.length), go: () => child.stdin.write('\n') };
}

async function kill(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = once(child, 'exit');
  child.kill('SIGKILL');
  await over;
}

describe('takeLock', () => {
  it('gives the lock to one of several processes at once, and to the next when that one is killed', async () => {
    const contenders = await Promise.all([contender(), contender(), contender()]);
    for (const { go } of contenders) go();
    await expect.poll(() => contenders.every(({ said }) => said() !== '')).toBe(true);
    const winners = contenders.filter(({ said }) => said() === 'taken');
    expect(winners).toHaveLength(1);
    for (const { child } of winners) await kill(child);
    const next = await Promise.all([contender(), contender()]);
    for (const { go } of next) go();
    await expect.poll(() => next.every(({ said }) => said() !== '')).toBe(true);
    expect(next.filter(({ said }) => said() === 'taken')).toHaveLength(1);
    expect(readdirSync(folder)).toEqual(['plane.2']);
  });

  it('names the holder', () => {
    expect(takeLock(folder, 'plane', process.pid)).toEqual({ taken: true });
    expect(takeLock(folder, 'plane', process.pid)).toEqual({
      taken: false,
      holder: processIdentity(process.pid),
    });
    expect(takeLock(folder, 'runner', process.pid).taken).toBe(true);
  });

  it('takes a lock whose process id belongs to another process by now, and one that is no file of ours', () => {
    writeFileSync(join(folder, 'plane.7'), JSON.stringify({ pid: process.pid, startTime: '1' }));
    expect(takeLock(folder, 'plane', process.pid).taken).toBe(true);
    writeFileSync(join(folder, 'runner.1'), 'garbage');
    expect(takeLock(folder, 'runner', process.pid).taken).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['plane.8', 'runner.2']);
  });
});

describe('isAlive', () => {
  it('knows a process by its start, not by its number', () => {
    const own = processIdentity(process.pid);
    expect(own && isAlive(own)).toBe(true);
    expect(isAlive({ pid: process.pid, startTime: '1' })).toBe(false);
    expect(processIdentity(2 ** 22 + 1)).toBeUndefined();
  });
});
