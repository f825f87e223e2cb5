import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseRemote } from './remote.ts';
import { keyMounts, keysIn, sshCommand } from './ssh-keys.ts';

let folder = '';

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'atelier-keys-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function makeKey(name: string, passphrase = '', ...more: readonly string[]): void {
  execFileSync('ssh-keygen', ['-q', '-N', passphrase, ...more, '-f', join(folder, name)], { stdio: 'pipe' });
}

describe('the keys of a folder', () => {
  it('are its standard ones, and say which of them need a passphrase', async () => {
    makeKey('id_ed25519', '', '-t', 'ed25519');
    makeKey('id_ecdsa', 'secret', '-t', 'ecdsa');
    makeKey('id_rsa', '', '-t', 'rsa', '-b', '2048', '-m', 'PEM');
    makeKey('id_other', '', '-t', 'ed25519');
    writeFileSync(join(folder, 'known_hosts'), '');
    expect(await keysIn(folder).look()).toEqual({
      usable: ['id_rsa', 'id_ed25519'].map((name) => ({ name, path: join(folder, name) })),
      locked: ['id_ecdsa'],
      knownHosts: join(folder, 'known_hosts'),
    });
  });

  it.each([
    ['PEM', 'id_rsa', 'rsa'],
    ['PKCS8', 'id_ecdsa', 'ecdsa'],
    ['RFC4716', 'id_ed25519', 'ed25519'],
  ])('in the form %s are seen to need a passphrase too', async (form, name, type) => {
    makeKey(name, 'secret', '-t', type, '-m', form);
    expect(await keysIn(folder).look()).toMatchObject({ usable: [], locked: [name] });
  });

  it('are followed where links lead, and nothing else is taken for one', async () => {
    makeKey('elsewhere', '', '-t', 'ed25519');
    symlinkSync('elsewhere', join(folder, 'id_ed25519'));
    mkdirSync(join(folder, 'id_rsa'));
    writeFileSync(join(folder, 'id_ecdsa'), 'no key\n');
    expect(await keysIn(folder).look()).toEqual({
      usable: [{ name: 'id_ed25519', path: join(folder, 'elsewhere') }],
      locked: [],
      knownHosts: undefined,
    });
    expect(await keysIn(join(folder, 'nowhere')).look()).toMatchObject({ usable: [], locked: [] });
  });
});

describe('the ssh command of a clone', () => {
  const keys = {
    usable: [{ name: 'id_ed25519', path: '/keys/one' }],
    locked: [],
    knownHosts: '/keys/known',
  };

  /** Which key files ssh would try for a host, by its own account. */
  function tried(host: string): string[] {
    const shown = execFileSync('/bin/sh', ['-c', `${sshCommand(keys)} -G ${host}`], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    return [...shown.matchAll(/^identityfile (.*)$/gm)].map(([, file = '']) => file.replaceAll('%n', host));
  }

  it.each([
    ['git@example.test:team/project.git', 'example.test'],
    ['ssh://git@example.test:2222/project.git', 'example.test'],
    ['ssh://git@[fd00::1]:2222/project.git', 'fd00::1'],
  ])('finds the keys that are mounted for %s there, and none on another host', (url, host) => {
    const mounts = keyMounts(parseRemote(url), keys);
    expect(mounts.map(({ kind }) => kind)).toEqual(['host-read-only', 'host-read-only']);
    const targets = mounts.map(({ target }) => target);
    expect(tried(host)).toEqual([targets[0]]);
    expect(targets).not.toContain(tried('other.test')[0]);
    expect(sshCommand(keys)).toContain(targets[1]);
  });

  it('knows no key where the runner is not the user’s own', () => {
    expect(sshCommand(undefined)).not.toMatch(/Identit/);
  });
});
