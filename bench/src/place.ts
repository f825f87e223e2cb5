/** The Atelier that is measured: a home of its own, its daemon, a warm client, and folders to make environments of. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { AtelierError } from '@atelier/api';
import { findLeftovers, openHome } from '@atelier/driver-oci';
import { createClient, type AtelierClient } from '@atelier/sdk';
import { remove, waitForRunning } from './atelier.ts';
import { openCorner, type Corner } from './peers/corner.ts';
import { devcontainerFile } from './peers/devcontainer.ts';
import { openPodman, type Podman } from './peers/podman.ts';
import { runProgram } from './program.ts';

/** The root of the checkout. */
export const rootFolder = resolve(import.meta.dirname, '../..');

/** The built-in base image: the image of everything that is measured. */
export const image = 'localhost/atelier/base:latest';

/** Everything that a row group measures with. */
export interface Place {
  readonly homeFolder: string;
  readonly client: AtelierClient;
  readonly corner: Corner;
  readonly podman: Podman;
  /** A small git repository with a `devcontainer.json` that names {@link image}. */
  readonly repository: string;
  /** Runs the typed command line on the home, through the launcher. */
  readonly launcher: { readonly path: string; readonly environment: Readonly<Record<string, string>> };
  readonly imageDigest: string;
}

const homeFolder = '/var/tmp/atelier-bench';

interface DaemonStatus {
  readonly url: string;
  readonly tokenFile: string;
}

/**
 * Opens the place, calls `work` with it, and takes everything away again, whatever happens; with `keep` the home
 * stays, for a faster next run. Errors: `failed_precondition` where environments cannot be made;
 * `internal` when something of an environment is left over at the end.
 */
export async function withPlace<T>(
  keep: boolean,
  say: (text: string) => void,
  work: (place: Place) => Promise<T>,
): Promise<T> {
  if (process.getuid?.() !== 0) {
    throw new AtelierError('failed_precondition', 'the bench makes real environments: run it as root');
  }
  const launcher = { path: join(rootFolder, 'atelier'), environment: { ATELIER_HOME: homeFolder } };
  const call = async (...words: readonly string[]): Promise<string> =>
    (await runProgram({ arguments: [launcher.path, ...words], environment: launcher.environment })).stdout;
  const corner = await openCorner();
  let client: AtelierClient | undefined;
  try {
    say(`starting a daemon in ${homeFolder}`);
    const daemon = JSON.parse(await call('daemon', 'start', '--output', 'json')) as DaemonStatus;
    client = createClient({ url: daemon.url, token: readFileSync(daemon.tokenFile, 'utf8').trim() });
    await removeAll(client);
    say('preparing the image');
    await prepareImage(client);
    const podman = openPodman(homeFolder, corner);
    const digest = (await podman.call('image', 'inspect', '--format', '{{.Digest}}', image)).trim();
    // A run that was killed left them in a home that was kept.
    await podman.call('rm', '--force', '--all', '--time=0');
    const repository = await makeRepository(join(homeFolder, 'peers/repository'));
    return await work({ homeFolder, client, corner, podman, repository, launcher, imageDigest: digest });
  } finally {
    await corner.close();
    await removeAll(client);
    client?.close();
    if (existsSync(homeFolder)) await call('daemon', 'stop');
    await takeAway(keep);
  }
}

/** An environment that runs has pulled or made the image. */
async function prepareImage(client: AtelierClient): Promise<void> {
  const { id } = await client.environments.create({ spec: {} });
  await waitForRunning(client, id);
  await remove(client, id);
}

async function removeAll(client: AtelierClient | undefined): Promise<void> {
  if (client === undefined) return;
  for (const { id } of await client.environments.list()) await remove(client, id);
}

async function makeRepository(folder: string): Promise<string> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, '.devcontainer'), { recursive: true });
  writeFileSync(join(folder, '.devcontainer/devcontainer.json'), devcontainerFile(image));
  for (let number = 0; number < 50; number += 1) {
    writeFileSync(join(folder, `file-${number}.txt`), `${`line of file ${number}\n`.repeat(100)}`);
  }
  const git = ['git', '-C', folder, '-c', 'user.name=bench', '-c', 'user.email=bench@localhost'];
  await runProgram({ arguments: [...git, 'init', '--quiet'] });
  await runProgram({ arguments: [...git, 'add', '.'] });
  await runProgram({ arguments: [...git, 'commit', '--quiet', '--message', 'Fifty files'] });
  return folder;
}

async function takeAway(keep: boolean): Promise<void> {
  if (!existsSync(homeFolder)) return;
  const leftovers = await findLeftovers(homeFolder);
  if (keep) return;
  const { runFolder, short } = openHome(homeFolder);
  rmSync(homeFolder, { recursive: true, force: true });
  rmSync(runFolder, { recursive: true, force: true });
  rmSync(join(dirname(runFolder), 'claims', `home-${short}`), { force: true });
  if (leftovers.length === 0) return;
  throw new AtelierError(
    'internal',
    `left over after every environment was deleted:\n${leftovers.join('\n')}`,
  );
}
