import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  writeFileSync,
  chmodSync,
} from 'node:fs';
import { join } from 'node:path';
import { run, succeeds, type Undo } from './run.ts';

const suite = 'bookworm';
const packages = ['git', 'npm', 'ca-certificates'];
const cache = process.env['ATELIER_CACHE'] ?? '/var/cache/atelier';

/** The folder, seen from inside, that holds the clone of the checkout. */
export const checkoutInside = '/srv/atelier';

/** Unpacks a minimal Debian with git and npm into a new folder, passes this machine's way to the network on to it, and clones HEAD. */
export function makeRoot(checkout: string, undos: Undo[]): string {
  const archive = rootArchive();
  const root = mkdtempSync('/var/tmp/atelier-fresh-');
  undos.push(() => run('rm', '-rf', '--one-file-system', root));
  chmodSync(root, 0o755);
  run('tar', '--extract', '--file', archive, '--directory', root, '--numeric-owner', '--exclude=./dev/*');
  passConfiguration(root);
  run('git', 'clone', '--quiet', '--no-hardlinks', checkout, join(root, checkoutInside));
  return root;
}

/** The archive is cached by what it is made of: suite, packages, mirror. */
function rootArchive(): string {
  const mirror = hostMirror();
  const aptOptions = hostAptOptions();
  const key = JSON.stringify([
    suite,
    packages,
    mirror === undefined ? '' : readFileSync(mirror, 'utf8'),
    aptOptions,
  ]);
  const archive = join(cache, `fresh-${createHash('sha256').update(key).digest('hex').slice(0, 16)}.tar`);
  if (existsSync(archive)) return archive;
  console.error(`fresh: making a minimal Debian ${suite} with ${packages.join(', ')} in ${archive}, once`);
  mkdirSync(cache, { recursive: true });
  const partial = `${archive}.${process.pid}.tar`;
  const options = aptOptions.map((option) => `--aptopt=${option}`);
  const from = mirror === undefined ? [] : [mirror];
  run(
    'mmdebstrap',
    '--quiet',
    '--variant=minbase',
    `--include=${packages.join(',')}`,
    ...options,
    suite,
    partial,
    ...from,
  );
  renameSync(partial, archive);
  return archive;
}

/** This machine's own package sources when they are of the same suite, else mmdebstrap's default. */
function hostMirror(): string | undefined {
  const candidates = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];
  return candidates.find((path) => existsSync(path) && readFileSync(path, 'utf8').includes(suite));
}

function hostAptOptions(): string[] {
  const wanted = /^Acquire::(https?::|Check-)\S+ "[^"]+";$/i;
  return run('apt-config', 'dump', 'Acquire')
    .split('\n')
    .filter((line) => wanted.test(line));
}

/** Names, certificate authorities, and the configurations of apt and npm: what a user of this network would have set up. */
function passConfiguration(root: string): void {
  for (const path of [
    '/etc/resolv.conf',
    '/etc/ssl/certs/ca-certificates.crt',
    '/usr/local/share/ca-certificates',
  ]) {
    if (existsSync(path)) cpSync(path, join(root, path), { recursive: true, dereference: true });
  }
  writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost fresh\n::1 localhost\n');
  writeFileSync(join(root, 'etc/apt/apt.conf.d/90fresh'), `${hostAptOptions().join('\n')}\n`);
  const npm = ['globalconfig', 'userconfig']
    .map((key) => run('npm', '--loglevel=error', 'config', 'get', key))
    .filter((path) => existsSync(path));
  const lines = npm
    .flatMap((path) => readFileSync(path, 'utf8').split('\n'))
    .filter((line) => !line.startsWith('nodedir'));
  writeFileSync(join(root, 'root/.npmrc'), lines.join('\n'), { mode: 0o600 });
}

/** The variables of this machine's environment that say how to reach the network, and a plain login's. */
export function environmentInside(): Record<string, string> {
  const wanted =
    /^((https?|no|all|ftp)_proxy|.*_CA_(CERTS?|BUNDLE)|SSL_CERT_(FILE|DIR)|GIT_SSL_CAINFO|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS)$/i;
  const passed = Object.entries(process.env).filter(([name]) => wanted.test(name));
  const login = { HOME: '/root', USER: 'root', TERM: process.env['TERM'] ?? 'dumb', LANG: 'C.UTF-8' };
  const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return { ...(Object.fromEntries(passed) as Record<string, string>), ...login, PATH: path };
}

/** Why a fresh root cannot be made on this machine, or undefined. */
export function missingForRoot(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root, for namespaces and mounts';
  const programs = ['mmdebstrap', 'unshare', 'nsenter', 'ip', 'nft', 'npm', 'git'];
  const missing = programs.filter((program) => !succeeds('sh', '-c', `command -v ${program}`));
  return missing.length > 0
    ? `${missing.join(', ')} missing: apt-get install mmdebstrap iproute2 nftables npm git`
    : undefined;
}
