/**
 * Locks between processes that no crash can leave behind. A lock is the file with the highest number among
 * `<name>.1`, `<name>.2`, ...; it holds the process that took it, and it is free when that process is gone.
 * Taking it is linking the next number, which only one can do. Numbers never come back, so a slow process
 * cannot take what somebody else took and left meanwhile: it finds a higher number and gives up.
 */
import { existsSync, linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, processIdentity, type ProcessIdentity } from './processes.ts';

/** Who has a lock: this process by the present call, or another one. */
export type LockOutcome =
  | { readonly taken: true }
  | { readonly taken: false; readonly holder: ProcessIdentity };

/** Takes the lock for the process `pid`, which keeps it until it ends. */
export function takeLock(folder: string, name: string, pid: number): LockOutcome {
  for (;;) {
    const numbers = numbersOf(folder, name);
    const highest = numbers.at(-1) ?? 0;
    const holder = highest > 0 ? read(pathOf(folder, name, highest)) : undefined;
    if (holder && isAlive(holder)) return { taken: false, holder };
    if (link(folder, name, highest + 1, pid)) {
      for (const number of numbers) rmSync(pathOf(folder, name, number), { force: true });
      return { taken: true };
    }
  }
}

/** The process that has the lock; undefined when nobody has it. */
export function lockHolder(folder: string, name: string): ProcessIdentity | undefined {
  if (!existsSync(folder)) return undefined;
  const highest = numbersOf(folder, name).at(-1);
  const holder = highest === undefined ? undefined : read(pathOf(folder, name, highest));
  return holder && isAlive(holder) ? holder : undefined;
}

/** Links the number; false when another process was faster, now or since the numbers were read. */
function link(folder: string, name: string, number: number, pid: number): boolean {
  const path = pathOf(folder, name, number);
  const temporary = join(folder, `.${name}.${pid}`);
  writeFileSync(temporary, JSON.stringify(processIdentity(pid)), { mode: 0o600 });
  try {
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
  if (numbersOf(folder, name).at(-1) === number) return true;
  rmSync(path, { force: true });
  return false;
}

function numbersOf(folder: string, name: string): number[] {
  return readdirSync(folder)
    .flatMap((entry) => (entry.startsWith(`${name}.`) ? [Number(entry.slice(name.length + 1))] : []))
    .filter((number) => Number.isSafeInteger(number) && number > 0)
    .sort((one, other) => one - other);
}

function pathOf(folder: string, name: string, number: number): string {
  return join(folder, `${name}.${number}`);
}

function read(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
