/** The ssh keys of the user who runs the daemon, for the clone of an ssh remote: looked at, never copied. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstanceMount } from '@atelier/driver';
import type { GitRemote } from './remote.ts';

/** What the runner asks about the keys of its user. */
export interface SshKeys {
  look(): Promise<FoundKeys>;
}

/** A file of the user's ssh folder: its name there and its real path. */
export interface KeyFile {
  readonly name: string;
  readonly path: string;
}

/** What there is of keys that a clone may use, and of those that it cannot. */
export interface FoundKeys {
  /** Private keys that ssh can use without asking anybody. */
  readonly usable: readonly KeyFile[];
  /** Names of keys that are protected by a passphrase, for which nobody can be asked. */
  readonly locked: readonly string[];
  /** The real path of the file of known host keys; undefined when there is none. */
  readonly knownHosts: string | undefined;
}

/** No key at all: where there is no user. */
export const noKeys: SshKeys = { look: async () => ({ usable: [], locked: [], knownHosts: undefined }) };

// The names that ssh tries by itself, in its order, without those that live on a token.
const standardNames = ['id_rsa', 'id_ecdsa', 'id_ed25519'];
const keyBytesMax = 64 * 1024;
const mountFolder = '/mnt/atelier-ssh';

/** The standard keys in a folder such as `~/.ssh`, read anew each time. What is missing or no key is left out. */
export function keysIn(folder: string): SshKeys {
  return {
    async look() {
      const usable: KeyFile[] = [];
      const locked: string[] = [];
      for (const name of standardNames) {
        const path = await fileAt(join(folder, name), keyBytesMax);
        const state = path === undefined ? 'none' : keyState(await readFile(path, 'latin1').catch(() => ''));
        if (path !== undefined && state === 'usable') usable.push({ name, path });
        if (state === 'locked') locked.push(name);
      }
      return { usable, locked, knownHosts: await fileAt(join(folder, 'known_hosts'), Infinity) };
    },
  };
}

/** What of the keys is mounted for a clone: each file alone and read-only, under the remote's own host. */
export function keyMounts(remote: GitRemote, { usable, knownHosts }: FoundKeys): InstanceMount[] {
  const mount = (source: string, target: string): InstanceMount => ({
    kind: 'host-read-only',
    source,
    target,
  });
  const keys = usable.map(({ name, path }) => mount(path, `${mountFolder}/keys/${hostName(remote)}/${name}`));
  return knownHosts === undefined ? keys : [...keys, mount(knownHosts, knownHostsMount)];
}

const knownHostsMount = `${mountFolder}/known_hosts`;

/**
 * The ssh command of a clone. With keys: ssh looks for them in a folder that is called like the host it was told
 * to go to, so that a submodule on another host gets none.
 */
export function sshCommand(keys: FoundKeys | undefined): string {
  const known = ['/tmp/atelier-known-hosts', ...(keys?.knownHosts === undefined ? [] : [knownHostsMount])];
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=accept-new',
    `"UserKnownHostsFile=${known.join(' ')}"`,
    'ConnectTimeout=20',
    'ServerAliveInterval=15',
    'ServerAliveCountMax=4',
    ...(keys === undefined ? [] : ['IdentitiesOnly=yes']),
    ...(keys?.usable ?? []).map(({ name }) => `IdentityFile=${mountFolder}/keys/%n/${name}`),
  ];
  return ['ssh', ...options.map((option) => `-o ${option}`)].join(' ');
}

/** The host of an ssh remote without its port, as git tells it to ssh. */
function hostName({ host }: GitRemote): string {
  return host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

async function fileAt(path: string, bytesMax: number): Promise<string | undefined> {
  const real = await realpath(path).catch(() => undefined);
  const found = real === undefined ? undefined : await stat(real).catch(() => undefined);
  return found?.isFile() === true && found.size <= bytesMax ? real : undefined;
}

/** Whether a text is a private key, and whether it is encrypted, which its unencrypted head says. */
function keyState(text: string): 'usable' | 'locked' | 'none' {
  const [, kind = '', body = ''] = /^-----BEGIN ([A-Z ]*)PRIVATE KEY-----\s([^-]*)/m.exec(text) ?? [];
  if (body === '') return 'none';
  if (text.includes('ENCRYPTED')) return 'locked';
  if (!kind.startsWith('OPENSSH')) return 'usable';
  // "openssh-key-v1", a zero, then the name of the cipher behind its length.
  const head = Buffer.from(body.slice(0, 64), 'base64').subarray(15);
  const length = head.length < 4 ? 0 : head.readUInt32BE(0);
  return head.toString('latin1', 4, 4 + length) === 'none' ? 'usable' : 'locked';
}
