/** Which environment a command is about: by name, id, prefix, or by the folder that it was made from. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AtelierError } from '@atelier/api';
import { EnvironmentPhase, type Environment } from '@atelier/api/gitpod/environment';
import { IdentityService } from '@atelier/api/gitpod/identity';
import type { AtelierClient } from '@atelier/sdk';
import type { CommandContext } from './context.ts';

/**
 * The environment that `reference` names; a path such as `.`, or nothing at all, means the one of that
 * folder's repository. Errors: as `environments.find`, and `not_found` for a folder without an environment.
 */
export async function findEnvironment(
  context: CommandContext,
  client: AtelierClient,
  reference: string | undefined,
): Promise<Environment> {
  if (reference !== undefined && !/^(\.|\/)/.test(reference)) return client.environments.find(reference);
  const url = contextUrlOf(reference ?? '.', context.system.workingFolder);
  const [first, ...others] = await environmentsOf(client, url);
  if (!first) {
    const name = reference === undefined ? '; name one, or make one here with "atelier up"' : '';
    throw new AtelierError('not_found', `there is no environment for ${new URL(url).pathname}${name}`);
  }
  if (others.length > 0) throw severalHere([first, ...others]);
  return first;
}

/** The caller's environments that were made from this context URL and are not being deleted, oldest first. */
export async function environmentsOf(client: AtelierClient, url: string): Promise<Environment[]> {
  const live = await allEnvironmentsOf(client, url);
  return live.filter(({ spec }) => spec?.desiredPhase !== EnvironmentPhase.DELETED);
}

/** As {@link environmentsOf}, with those that are being deleted. */
export async function allEnvironmentsOf(client: AtelierClient, url: string): Promise<Environment[]> {
  const [identity, environments] = await Promise.all([
    client.service(IdentityService).getAuthenticatedIdentity({}),
    client.environments.list(),
  ]);
  const own = identity.subject?.id ?? '';
  return environments.filter(
    ({ metadata }) => metadata?.originalContextUrl === withoutSecrets(url) && metadata.creator?.id === own,
  );
}

/** For a folder that several environments were made from. */
export function severalHere(environments: readonly Environment[]): AtelierError {
  const names = environments.map(({ metadata }) => metadata?.name ?? '').sort();
  return new AtelierError(
    'invalid_argument',
    `several environments were made from here: ${names.join(', ')}; say which one by its name`,
  );
}

/**
 * The context URL of what a person typed: a URL as it is, `user@host:path` as ssh, anything else as a folder,
 * of which the nearest folder upwards that is a repository or has a dev container is taken. `not_found` for a
 * folder that does not exist, `invalid_argument` for a URL that is none.
 */
export function contextUrlOf(source: string, workingFolder: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) {
    if (URL.canParse(source) && !/\s/.test(source)) return source;
    throw new AtelierError('invalid_argument', `${JSON.stringify(withoutSecrets(source))} is not a URL`);
  }
  const path = resolve(workingFolder, source);
  if (!existsSync(path)) {
    const short = /^([\w.-]+@)([\w.-]+):(?!\/\/)(.+)$/.exec(source);
    if (short) return `ssh://${short[1]}${short[2]}/${short[3]}`;
    throw new AtelierError('not_found', `${path} does not exist; give a folder or the URL of a repository`);
  }
  const folder = realpathSync(path);
  if (!statSync(folder).isDirectory()) {
    throw new AtelierError(
      'invalid_argument',
      `${path} is not a folder; give a folder or the URL of a repository`,
    );
  }
  return pathToFileURL(projectAround(folder)).href;
}

/** What makes a folder a project of its own: a repository, or the configuration of an environment. */
const projectMarks = ['.git', '.devcontainer', '.devcontainer.json', '.gitpod', '.ona'];

function projectAround(folder: string): string {
  for (let current = folder; ; current = dirname(current)) {
    if (projectMarks.some((mark) => existsSync(join(current, mark)))) return current;
    if (dirname(current) === current) return folder;
  }
}

/** The plane keeps URLs without user name and password. */
function withoutSecrets(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
}
