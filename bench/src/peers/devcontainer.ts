/** The reference command line of Dev Containers, over the same podman. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AtelierError } from '@atelier/api';
import { runProgram, timeToFirstByte, type Command } from '../program.ts';
import type { Corner } from './corner.ts';
import { firstCommand, type Podman } from './podman.ts';

/** The reference command line as the bench calls it. */
export interface Devcontainer {
  /** From nothing to the first byte of the first command: `devcontainer up`, then `devcontainer exec`. */
  createToFirstByte(folder: string): Promise<number>;
  /** Removes the container of the last `createToFirstByte`. */
  remove(): Promise<void>;
}

/**
 * What stands in the folder's `devcontainer.json`. The last setting spares the peer work that Atelier does not do
 * either, asking a login shell for its variables; the user is root because for any other it asks podman for a
 * mapping of users that podman refuses to root.
 */
export const devcontainerFile = (image: string): string =>
  `${JSON.stringify({ image, remoteUser: 'root', userEnvProbe: 'none' }, undefined, 2)}\n`;

/** Gives the reference command line in the corner. */
export function openDevcontainer(homeFolder: string, corner: Corner, podman: Podman): Devcontainer {
  const main = join(
    dirname(fileURLToPath(import.meta.resolve('@devcontainers/cli/package.json'))),
    'devcontainer.js',
  );
  const userFolder = join(homeFolder, 'peers', 'devcontainer');
  mkdirSync(userFolder, { recursive: true });
  const command = (verb: string, folder: string, ...words: readonly string[]): Command => ({
    arguments: [
      ...corner.enter,
      process.execPath,
      main,
      verb,
      '--docker-path',
      'podman',
      '--user-data-folder',
      userFolder,
      '--workspace-folder',
      folder,
      ...words,
    ],
    environment: podman.environment,
  });
  let containerId: string | undefined;
  return {
    async createToFirstByte(folder) {
      const up = await runProgram(command('up', folder));
      containerId = containerOf(up.stdout);
      return up.tookMs + (await timeToFirstByte(command('exec', folder, ...firstCommand)));
    },
    async remove() {
      if (containerId !== undefined) await podman.remove(containerId);
      containerId = undefined;
    },
  };
}

function containerOf(stdout: string): string {
  const outcome = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as Record<string, unknown>;
  if (outcome['outcome'] === 'success') return String(outcome['containerId']);
  throw new AtelierError('internal', `devcontainer up failed: ${stdout}`);
}
