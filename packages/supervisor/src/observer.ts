/** Looks from time to time at what nobody reports: listening ports, keep-alive, git. Only while somebody watches. */
import { equals } from '@bufbuild/protobuf';
import type { Timer } from '@atelier/api';
import type { ListeningPort } from '@atelier/api/atelier/environment_detail';
import { EnvironmentGitStatusSchema, type EnvironmentGitStatus } from '@atelier/api/gitpod/git_status';
import { readGitStatus } from './git.ts';
import { KeepAliveFolder, type KeptAlive } from './keep-alive.ts';
import type { CommandSurroundings } from './lifecycle.ts';
import type { Machine } from './machine.ts';
import { PortScanner } from './ports.ts';

const intervalMs = 1000;
const gitIntervalMs = 5000;
/** Between two looks at git when nobody does anything. */
const gitIdleIntervalMs = 30_000;

/** Who wants to know, and what to look at. */
export interface ObserverOptions {
  isWanted(): boolean;
  /** Where git is to be read and as whom; undefined when it is not to be read. */
  git(): CommandSurroundings | undefined;
  /** Whether somebody is at work, so that git changes are likely. */
  isBusy(): boolean;
  onPorts(ports: readonly ListeningPort[]): void;
  onGit(git: EnvironmentGitStatus | undefined): void;
  onKeepAlive(kept: readonly KeptAlive[]): void;
}

/** The looks and their timers. */
export class Observer {
  readonly #machine: Machine;
  readonly #options: ObserverOptions;
  readonly #scanner: PortScanner;
  readonly #keepAlive: KeepAliveFolder;
  #ports: readonly ListeningPort[] = [];
  #kept: readonly KeptAlive[] = [];
  #git: EnvironmentGitStatus | undefined;
  #gitUnderWay: Promise<EnvironmentGitStatus | undefined> | undefined;
  #gitAtMs = -Infinity;
  #timer: Timer | undefined;
  #looking = false;
  #stopped = false;

  constructor(machine: Machine, options: ObserverOptions) {
    this.#machine = machine;
    this.#options = options;
    this.#scanner = new PortScanner(machine.processFolder);
    this.#keepAlive = new KeepAliveFolder(machine);
  }

  /** Looks now, and again as long as it is wanted. */
  wake(): void {
    if (this.#looking || this.#stopped) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#options.isWanted()) return;
    this.#looking = true;
    void this.#look().finally(() => {
      this.#looking = false;
      if (this.#options.isWanted() && !this.#stopped) {
        this.#timer = this.#machine.clock.timer(intervalMs, () => this.wake());
      }
    });
  }

  /** Looks no more. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Reads git now; those who ask meanwhile share one reading. */
  readGit(): Promise<EnvironmentGitStatus | undefined> {
    const surroundings = this.#options.git();
    if (!surroundings) return Promise.resolve(undefined);
    this.#gitUnderWay ??= readGitStatus(this.#machine, surroundings).finally(() => {
      this.#gitUnderWay = undefined;
    });
    return this.#gitUnderWay;
  }

  async #look(): Promise<void> {
    const [ports, kept] = await Promise.all([this.#scanner.scan(), this.#keepAlive.scan()]);
    if (kept !== this.#kept) {
      this.#kept = kept;
      this.#options.onKeepAlive(kept);
    }
    if (ports !== this.#ports) {
      this.#ports = ports;
      this.#options.onPorts(ports);
    }
    const nowMs = this.#machine.clock.nowMs();
    const gitMs = this.#options.isBusy() ? gitIntervalMs : gitIdleIntervalMs;
    // A clock that was set back must not stop the looks.
    const due = nowMs < this.#gitAtMs || nowMs - this.#gitAtMs >= gitMs;
    if (!due || !this.#options.git()) return;
    this.#gitAtMs = nowMs;
    // A large repository may take long; ports are looked at meanwhile.
    void this.readGit().then((git) => {
      if (isSame(git, this.#git)) return;
      this.#git = git;
      this.#options.onGit(git);
    });
  }
}

function isSame(one: EnvironmentGitStatus | undefined, other: EnvironmentGitStatus | undefined): boolean {
  return one && other ? equals(EnvironmentGitStatusSchema, one, other) : one === other;
}
