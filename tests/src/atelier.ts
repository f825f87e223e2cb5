/** A home of its own with the real command line, as a user has it on a machine. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EnvironmentSchema, type Environment } from '@atelier/api/gitpod/environment';
import { findLeftovers } from '@atelier/driver-oci';
import { createClient, type AtelierClient } from '@atelier/sdk';
import { fromJsonString } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { programs, whyNotHere } from './machine.ts';
import type { Build } from './previous-build.ts';

/** The build of this checkout: its sources, unless the command line has been packed for the tests. */
const presentBuild: Build = {
  node: programs.node,
  main: process.env['ATELIER_COMMAND_LINE'] ?? join(import.meta.dirname, '../../packages/cli/src/main.ts'),
};

/** Paths on this machine become long quickly; a socket's must not. */
const placeForHomes = '/var/tmp';

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export interface Begun {
  readonly child: ChildProcess;
  /** What it has said so far. */
  readonly said: { stdout: string; stderr: string };
  readonly ended: Promise<Ended>;
}

/** Where and with what a command runs. */
export interface Surroundings {
  readonly input?: string;
  readonly workingFolder?: string;
  readonly variables?: Readonly<Record<string, string>>;
}

/** What the daemon says of itself. */
export interface DaemonFacts {
  readonly url: string;
  readonly tokenFile: string;
  readonly pid: number;
  readonly halves: readonly { readonly half: string; readonly pid: number }[];
}

/** One folder with a home in it. Nothing is made in the home before the first command. */
export class Atelier {
  /** For whatever a test needs beside the home. */
  readonly folder: string;
  readonly home: string;
  readonly #build: Build;
  #client: AtelierClient | undefined;

  /** `place` is the name of a new folder, or one whose folder and home are used by another build too. */
  constructor(place: string | Atelier, build = presentBuild) {
    this.#build = build;
    this.folder = typeof place === 'string' ? mkdtempSync(join(placeForHomes, `at-${place}-`)) : place.folder;
    // The database's own user has to be able to pass.
    chmodSync(this.folder, 0o755);
    this.home = join(this.folder, 'home');
  }

  /** Starts a command and does not wait for its end. */
  begin(arguments_: readonly string[], surroundings: Surroundings = {}): Begun {
    const { node, main } = this.#build;
    return this.beginProgram(node, [main, ...arguments_], surroundings);
  }

  /** The same on a terminal of this machine, which the command makes raw, as for a person. */
  beginOnTerminal(arguments_: readonly string[], redirection = ''): Begun {
    const { node, main } = this.#build;
    const words = [node, main, ...arguments_].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
    return this.beginProgram('script', ['-qefc', `exec ${words.join(' ')} ${redirection}`, '/dev/null']);
  }

  /** Starts a command as another user, who may read the checkout. */
  beginAs(userId: number, arguments_: readonly string[], surroundings: Surroundings): Begun {
    const { node, main } = this.#build;
    const become = [`--reuid=${userId}`, `--regid=${userId}`, '--clear-groups', node, main];
    return this.beginProgram('setpriv', [...become, ...arguments_], surroundings);
  }

  private beginProgram(
    program: string,
    arguments_: readonly string[],
    surroundings: Surroundings = {},
  ): Begun {
    const child = spawn(program, arguments_, {
      cwd: surroundings.workingFolder ?? this.folder,
      env: { ...programs.variables, ATELIER_HOME: this.home, ...surroundings.variables },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const said = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
    if (surroundings.input !== undefined) child.stdin.end(surroundings.input);
    const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, ...said }));
    return { child, said, ended };
  }

  /** Runs a command to its end. */
  run(...arguments_: readonly string[]): Promise<Ended> {
    return this.begin(arguments_, { input: '' }).ended;
  }

  /** Runs a command that has to succeed, and gives what it printed. */
  async ok(...arguments_: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...arguments_);
    expect(code, `atelier ${arguments_.join(' ')}: ${stderr}${stdout}`).toBe(0);
    return stdout;
  }

  /** Runs a shell script inside, which has to succeed, and gives what it printed, without the last line end. */
  async inside(environment: string, script: string): Promise<string> {
    return (await this.ok('exec', environment, '--', 'sh', '-c', script)).replace(/\n$/, '');
  }

  /** The environment as the plane knows it. */
  async status(environment: string): Promise<Environment> {
    return fromJsonString(EnvironmentSchema, await this.ok('status', environment, '-o', 'json'), {
      ignoreUnknownFields: true,
    });
  }

  /** How the daemon is reached; it has to run. */
  async daemon(): Promise<DaemonFacts> {
    return JSON.parse(await this.ok('daemon', 'status', '-o', 'json')) as DaemonFacts;
  }

  /** A client of the daemon, which is started when it does not run: for what is no command's business. */
  async client(): Promise<AtelierClient> {
    if (this.#client) return this.#client;
    await this.ok('daemon', 'start');
    const { url, tokenFile } = await this.daemon();
    this.#client = createClient({ url, token: readFileSync(tokenFile, 'utf8').trim() });
    return this.#client;
  }

  /** Names of the environments that there are. */
  async names(): Promise<string[]> {
    const listed = JSON.parse(await this.ok('ls', '-o', 'json')) as { metadata: { name: string } }[];
    return listed.map(({ metadata }) => metadata.name).sort();
  }

  /** What is left on the machine of environments that are gone. */
  leftovers(): Promise<string[]> {
    return findLeftovers(this.home);
  }

  /** Deletes every environment, ends the daemon and takes the folder away; gives what was left behind. */
  async close(): Promise<string[]> {
    const names = await this.names();
    await Promise.all(names.map((name) => this.run('delete', name)));
    const left = await this.names();
    this.#client?.close();
    await this.ok('daemon', 'stop');
    const leftovers = [...left.map((name) => `environment ${name}`), ...(await this.leftovers())];
    rmSync(this.folder, { recursive: true, force: true });
    return leftovers;
  }
}

/** A group of tests on a home of its own; left out with the reason where environments cannot run. */
export function describeAtelier(
  name: string,
  tests: (atelier: () => Atelier) => void,
  why: string | undefined = whyNotHere(),
): void {
  if (why !== undefined) return it(name, ({ skip }) => skip(why));
  describe(name, () => {
    let atelier: Atelier;
    beforeAll(async () => {
      atelier = new Atelier(name.split(' ')[0] ?? 'test');
      await atelier.ok('daemon', 'start');
    });
    afterAll(async () => {
      expect(await atelier.close()).toEqual([]);
    });
    tests(() => atelier);
  });
}
