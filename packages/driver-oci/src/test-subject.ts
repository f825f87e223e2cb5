/**
 * A home for tests with images of a few files, made of a static busybox: no registry and no build is needed, and
 * everything of the driver but its images runs for real.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { AtelierError } from '@atelier/api';
import type { Driver, ImageDriver } from '@atelier/driver';
import type { DriverSubject } from '@atelier/driver/suite';
import { dropClaim, claimsOf } from './claims/claims.ts';
import { workspaceFolder } from './disks/folders.ts';
import { findLeftovers } from './host/leftovers.ts';
import { errnoOf } from './host/syscalls.ts';
import { systemClock as clock } from '@atelier/api/system';
import { openHome, type OciHome } from './home.ts';
import { createOciDriver, type OciDriverOptions } from './index.ts';
import { makeCgroups } from './instances/cgroup.ts';
import { killAll, waitUntil } from './instances/death.ts';

const busybox = '/bin/busybox';
const commandMsMax = 20_000;
const digests = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`] as const;

/**
 * PID 1 of the images: runs until it is asked to end, and runs what is written into a pipe, as a supervisor would:
 * a process that was put inside from outside would have more rights than one that was born there.
 */
const script = [
  'trap "exit 0" TERM',
  '[ -p /commands ] || mkfifo /commands',
  'exec 3<>/commands',
  'while read -r line <&3; do sh -c "$line" 3>&- </dev/null; done &',
  'while :; do wait $!; done',
].join('\n');
const waiter = ['/bin/busybox', 'sh', '-c', script];

/** Why tests of this driver cannot run here; undefined when they can. */
export function whyNotHere(): string | undefined {
  if (process.getuid?.() !== 0) return 'namespaces and mounts need root';
  const missing = ['/usr/bin/crun', '/usr/sbin/nft', busybox].filter((path) => !existsSync(path));
  return missing.length > 0 ? `${missing.join(', ')} is not installed` : undefined;
}

/** A subject of the contract suites, and what this driver's own tests need beyond them. */
export interface OciSubject extends DriverSubject {
  readonly home: OciHome;
  /** Runs a shell command as a child of PID 1; gives its output, and `exit` with its code as the last line. */
  inside(instanceName: string, command: string): Promise<string>;
}

/**
 * Makes a subject in a temporary home. `different` changes the driver's options: with a supervisor in it, the
 * cases about links run too, and `inside` does not work, since nobody reads its pipe.
 */
export async function makeSubject(different: Partial<OciDriverOptions> = {}): Promise<OciSubject> {
  const home = openHome(mkdtempSync(join(tmpdir(), 'atelier-oci-')));
  mkdirSync(join(home.folder, 'supervisor'));
  for (const digest of digests) makeImage(home, digest);
  const open = (): Promise<Driver> => openDriver(home, different);
  let driver = await open();
  return {
    home,
    driver,
    imageDigest: digests[0],
    imageReference: 'localhost/test:latest',
    otherImageDigest: digests[1],
    supervisorPresent: different.supervisor !== undefined,
    workspace: {
      async write(environmentId, path, text) {
        const target = join(workspaceFolder(home, environmentId), path);
        mkdirSync(dirname(target), { recursive: true });
        writeFileSync(target, text);
      },
      async list(environmentId) {
        const folder = workspaceFolder(home, environmentId);
        const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
        return entries
          .filter((entry) => !entry.isDirectory())
          .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
          .toSorted();
      },
    },
    async reopen() {
      await driver.close();
      driver = await open();
      return driver;
    },
    kill: (name) => killAll(clock, makeCgroups(home), name),
    leftovers: () => findLeftovers(home.folder),
    async close() {
      await driver.close();
      for (const claim of claimsOf(home)) dropClaim(claim, () => true);
      rmSync(home.runFolder, { recursive: true, force: true });
      rmSync(home.folder, { recursive: true, force: true });
    },
    inside: (name, command) => insideOf(driver, name, command),
  };
}

let commandCount = 0;

/** Opens a driver on the home of a subject. */
export function openDriver(home: OciHome, different: Partial<OciDriverOptions> = {}): Promise<Driver> {
  return createOciDriver({
    home: home.folder,
    supervisor: { folder: join(home.folder, 'supervisor'), arguments: waiter },
    clock,
    images: { driver: imagesOf(home), layersOf },
    ...different,
  });
}

async function insideOf(driver: Driver, name: string, command: string): Promise<string> {
  const instance = await driver.instances.inspect(name);
  const root = `/proc/${instance?.process?.pid}/root`;
  const answer = `answer-${++commandCount}`;
  const line = `(${command}) >/${answer} 2>&1; echo "exit $?" >>/${answer}; mv /${answer} /${answer}.whole\n`;
  const asked = await waitUntil(clock, commandMsMax, () => writePipe(join(root, 'commands'), line));
  const path = join(root, `${answer}.whole`);
  if (asked && (await waitUntil(clock, commandMsMax, () => existsSync(path)))) {
    return readFileSync(path, 'utf8').trim();
  }
  throw new AtelierError('deadline_exceeded', `${name} did not answer ${JSON.stringify(command)}`);
}

/** False while nobody reads. */
function writePipe(path: string, text: string): boolean {
  try {
    const pipe = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(pipe, text);
    closeSync(pipe);
    return true;
  } catch (error) {
    if (['ENXIO', 'ENOENT'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

function layerFolder(home: OciHome, digest: string): string {
  return join(home.storageFolder, 'overlay', digest.slice(7), 'diff');
}

async function layersOf(home: OciHome, digest: string): Promise<string[]> {
  const folder = layerFolder(home, digest);
  if (existsSync(folder)) return [folder];
  throw new AtelierError('not_found', `image ${digest} is not here`);
}

function makeImage(home: OciHome, digest: string): void {
  const folder = layerFolder(home, digest);
  for (const part of ['bin', 'etc', 'tmp', 'root']) mkdirSync(join(folder, part), { recursive: true });
  copyFileSync(busybox, join(folder, 'bin/busybox'));
  execFileSync('chroot', [folder, '/bin/busybox', '--install', '-s', '/bin']);
  writeFileSync(join(folder, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(folder, 'image'), digest);
}

/** Only what the suites of the other three interfaces call. */
function imagesOf(home: OciHome): ImageDriver {
  const missing = async (): Promise<never> => {
    throw new AtelierError('unimplemented', 'the images of this subject are made by hand');
  };
  return {
    ensure: missing,
    async inspect(digest) {
      if (!existsSync(layerFolder(home, digest))) return undefined;
      const sizeBytes = readFileSync(join(layerFolder(home, digest), 'bin/busybox')).length;
      const configuration = { user: '', environment: [], workingDirectory: '', labels: {} };
      return { digest, configuration, sizeBytes };
    },
    pin: missing,
    unpin: async () => {},
    listPins: async () => new Map(),
  };
}
