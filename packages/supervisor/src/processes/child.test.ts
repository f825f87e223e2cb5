import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import type { Machine } from '../machine.ts';
import { systemMachine } from '../system.ts';
import { startChild, type ChildExit } from './child.ts';

function block(until: () => boolean): void {
  while (!until());
}

const hasEnded = (pid: number): boolean => / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

/** A machine on which every timer is due before anything more is read, as after a long stall. */
const stalled: Machine = {
  ...systemMachine(import.meta.filename),
  clock: {
    nowMs: () => performance.now(),
    timer(_ms, callback) {
      const timer = setTimeout(callback, 1);
      const dueMs = performance.now() + 3;
      block(() => performance.now() > dueMs);
      return { cancel: () => clearTimeout(timer) };
    },
  },
};

function start(script: string, onOutput: (text: string) => void) {
  const seen: { exit?: ChildExit; text: string } = { text: '' };
  const launch = {
    file: '/bin/sh',
    arguments: ['-c', script],
    workingDirectory: '/',
    environment: {},
    shown: [],
  };
  const child = startChild(stalled, launch, undefined, {
    onOutput(_name, data) {
      expect(seen.exit).toBeUndefined();
      seen.text += data.toString();
      onOutput(data.toString());
    },
    onExit: (exit) => void (seen.exit = exit),
  });
  if ('failure' in child) throw new Error(child.failure);
  return { pid: child.pid, seen };
}

describe('a child that ends', () => {
  // The kernel's one signal for the first child's end has the second one's end told before its output was looked at.
  it('while this process stalls and another one ends: its output is read before its end is told', async () => {
    const second = start('sleep 0.3; echo second', () => undefined);
    const first = start('echo first', () => block(() => hasEnded(second.pid)));
    block(() => hasEnded(first.pid));
    await vi.waitFor(() => expect(second.seen.exit).toEqual({ exitCode: 0, signal: '' }));
    expect(second.seen.text).toBe('second\n');
    expect(first.seen.text).toBe('first\n');
  });
});
