/**
 * Another machine, as far as environments can tell: a network namespace with an address that is nobody's own
 * and not private, in which servers run. Made by the tests that clone over a network.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { programs } from './machine.ts';

/** The range for benchmarks (RFC 2544): two addresses of it for each process that asks. */
function addressesOf(pid: number): { readonly near: string; readonly far: string } {
  const [third, fourth] = [(pid >> 6) & 0xff, (pid & 0x3f) << 2];
  return { near: `198.18.${third}.${fourth + 1}`, far: `198.18.${third}.${fourth + 2}` };
}

/** A made machine; `close` takes it away. */
export class RemoteHost {
  readonly address: string;
  /** The address of this machine on the link between the two. */
  readonly nearAddress: string;
  readonly #link = `atr${process.pid}`;
  readonly #name = `at-remote-${process.pid}`;
  readonly #servers: ChildProcess[] = [];

  constructor() {
    const { near, far } = addressesOf(process.pid);
    this.address = far;
    this.nearAddress = near;
    const link = this.#link;
    const ip = (...words: string[]): void => void execFileSync('ip', words, { stdio: 'pipe' });
    ip('netns', 'add', this.#name);
    ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'out', 'netns', this.#name);
    ip('address', 'add', `${near}/30`, 'dev', link);
    ip('link', 'set', link, 'up');
    ip('-n', this.#name, 'address', 'add', `${far}/30`, 'dev', 'out');
    ip('-n', this.#name, 'link', 'set', 'out', 'up');
    ip('-n', this.#name, 'route', 'add', 'default', 'via', near);
  }

  /** Serves the repositories in a folder over HTTP, for a credential (`user:password`) too; see `git-server.ts`. */
  async serveHttp(folder: string, credential = ''): Promise<void> {
    const server = this.#start([
      programs.node,
      join(import.meta.dirname, 'git-server.ts'),
      this.address,
      folder,
      credential,
    ]);
    await once(server.stdout!, 'data');
  }

  /** Serves everything over ssh for whoever has the key that is written to `keyFile`; its own is `host-key`. */
  async serveSsh(folder: string, keyFile: string): Promise<void> {
    const hostKey = join(folder, 'host-key');
    for (const file of [hostKey, keyFile])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file]);
    const configuration = join(folder, 'sshd_config');
    writeFileSync(
      configuration,
      [
        `ListenAddress ${this.address}`,
        `HostKey ${hostKey}`,
        `AuthorizedKeysFile ${keyFile}.pub`,
        'PidFile none',
        'StrictModes no',
        'UsePAM no',
        'PasswordAuthentication no',
        'KbdInteractiveAuthentication no',
        'PermitRootLogin prohibit-password',
        '',
      ].join('\n'),
    );
    // In a folder of its own for its privilege separation, which is nobody else's business.
    const script =
      'mount -t tmpfs none /run && mkdir /run/sshd && exec "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f "$1"';
    const server = this.#start(['sh', '-c', script, 'sshd', configuration]);
    let said = '';
    server.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
    await vi.waitFor(() => expect(said).toContain('Server listening'), { timeout: 60_000 });
  }

  /** Starts a program there that is a server. */
  async serve(words: readonly string[]): Promise<void> {
    await once(this.#start(words), 'spawn');
  }

  /**
   * Gives it more addresses, to which what comes in by an interface of this machine is led, and nothing else; gives
   * what takes them away again.
   */
  alsoAt(addresses: readonly string[], from: string): (() => void)[] {
    const table = String(100_000 + process.pid);
    const ip = (...words: string[]): void => void execFileSync('ip', words, { stdio: 'pipe' });
    return addresses.map((address) => {
      ip('-n', this.#name, 'address', 'add', `${address}/32`, 'dev', 'out');
      ip('route', 'add', address, 'dev', this.#link, 'table', table);
      ip('rule', 'add', 'iif', from, 'to', address, 'lookup', table);
      return () => ip('rule', 'delete', 'iif', from, 'to', address, 'lookup', table);
    });
  }

  /** Ends the servers and takes the machine away. */
  async close(): Promise<void> {
    const ended = this.#servers.map((server) => once(server, 'exit'));
    for (const server of this.#servers) server.kill('SIGKILL');
    await Promise.all(ended);
    execFileSync('ip', ['netns', 'delete', this.#name]);
  }

  #start(words: readonly string[]): ChildProcess {
    const server = spawn('ip', ['netns', 'exec', this.#name, ...words], {
      env: programs.variables,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#servers.push(server);
    return server;
  }
}
