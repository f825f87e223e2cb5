/** What the machine itself shows of processes, whatever a daemon believes. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'vitest';

/** One run of a process on this machine. */
export interface HostProcess {
  readonly pid: number;
  /** Clock ticks since the start of the machine: an id alone may belong to another process by now. */
  readonly startTime: string;
}

/** The process with this id; undefined when there is none, or when it has ended. */
export function processOf(pid: number): HostProcess | undefined {
  const text = read(pid, 'stat');
  const [state = '', ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ['', 'Z', 'X'].includes(state) ? undefined : { pid, startTime: fields[18] ?? '' };
}

/** PID 1 of a running environment; undefined when there is none. */
export function initOf(environmentId: string): HostProcess | undefined {
  const pid = pidsOf(environmentId).find((each) => /^NSpid:.*\t1$/m.test(read(each, 'status')));
  return pid === undefined ? undefined : processOf(pid);
}

/** The process in an environment whose arguments have this word. */
export function processInside(environmentId: string, word: string): number | undefined {
  return pidsOf(environmentId).find((pid) => read(pid, 'cmdline').split('\0').includes(word));
}

/** Processes that were started with a variable of this value, and are not over. */
export function processesWith(variable: string, value: string): number[] {
  return allPids().filter((pid) => read(pid, 'environ').split('\0').includes(`${variable}=${value}`));
}

/** Ends processes as a crash would, and waits until they are gone. */
export async function crash(pids: Iterable<number>): Promise<void> {
  const all = [...new Set(pids)];
  for (const pid of all) process.kill(pid, 'SIGKILL');
  await expect.poll(() => all.filter(processOf), { timeout: 30_000 }).toEqual([]);
}

function pidsOf(environmentId: string): number[] {
  return allPids().filter((pid) => read(pid, 'cgroup').includes(`/${environmentId}-main-`));
}

function allPids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
