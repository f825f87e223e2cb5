/**
 * What asked to be kept alive: a file for each process that did, named by its pid, in which it says why. A file
 * needs no program in the image and nothing that answers, and it is over when its process is.
 */
import { chmodSync, constants, mkdirSync, rmSync } from 'node:fs';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from './machine.ts';

/** Files that are looked at, the first by their name. */
const filesMax = 100;
const reasonBytesMax = 400;

/** One process that asked. */
export interface KeptAlive {
  readonly pid: number;
  readonly reason: string;
  /** When the file was written. */
  readonly sinceMs: number;
}

/** The folder with the files. */
export class KeepAliveFolder {
  readonly #machine: Machine;
  #names = '';
  #found: readonly KeptAlive[] = [];

  constructor(machine: Machine) {
    this.#machine = machine;
    try {
      // Pids of an earlier run of PID 1 say nothing about this one.
      rmSync(machine.keepAliveFolder, { recursive: true, force: true });
      mkdirSync(machine.keepAliveFolder, { recursive: true });
      // As /tmp: everybody makes files, and takes away only what is theirs.
      chmodSync(machine.keepAliveFolder, 0o1777);
    } catch {
      // Without the folder nobody can ask.
    }
  }

  /** Who asks now; the same list as before while nothing has changed. The files of ended processes are removed. */
  async scan(): Promise<readonly KeptAlive[]> {
    const entries = await readdir(this.#machine.keepAliveFolder).catch(() => []);
    const pids = entries
      .filter((name) => /^[1-9]\d{0,9}$/.test(name))
      .sort()
      .slice(0, filesMax);
    const found = (await Promise.all(pids.map((pid) => this.#read(pid)))).flatMap((each) => each ?? []);
    const names = JSON.stringify(found);
    if (names !== this.#names) {
      this.#names = names;
      this.#found = found;
    }
    return this.#found;
  }

  async #read(pid: string): Promise<KeptAlive | undefined> {
    const path = join(this.#machine.keepAliveFolder, pid);
    const isAlive = await this.#isAlive(pid);
    if (!isAlive) {
      await rm(path, { force: true }).catch(() => undefined);
      return undefined;
    }
    // Whoever made it may have put a link or a pipe there: no file of somebody else is read, and nothing blocks.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await open(path, flags).catch(() => undefined);
    if (!file) return undefined;
    try {
      const facts = await file.stat();
      if (!facts.isFile()) return undefined;
      const { bytesRead, buffer } = await file.read(Buffer.alloc(reasonBytesMax), 0, reasonBytesMax, 0);
      const reason = buffer.toString('utf8', 0, bytesRead).trim();
      return { pid: Number(pid), reason: reason || `pid ${pid}`, sinceMs: Math.floor(facts.mtimeMs) };
    } catch {
      return undefined;
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  async #isAlive(pid: string): Promise<boolean> {
    const status = await readFile(join(this.#machine.processFolder, pid, 'stat'), 'latin1').catch(() => '');
    const state = status.slice(status.lastIndexOf(')') + 2)[0] ?? '';
    return state !== '' && state !== 'Z' && state !== 'X';
  }
}
