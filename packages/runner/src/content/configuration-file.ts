/** Finds and reads the dev container configuration in the workspace, from inside a throw-away instance. */
import { AtelierError, toAtelierError } from '@atelier/api';
import { chooseConfigurationPath } from '@atelier/devcontainer';
import type { WorkspacePlace } from './source.ts';

/** A configuration file that was found; `path` is from the repository's root. */
export interface ConfigurationFile {
  readonly path: string;
  readonly text: string;
}

/** What was found, and where it was looked for; without a file there is none. */
export interface FoundConfiguration {
  readonly place: WorkspacePlace;
  readonly file: ConfigurationFile | undefined;
}

/** Runs a program in the workspace folder and gives its exit code and standard output. */
export type RunInWorkspace = (
  words: readonly string[],
) => Promise<{ readonly exitCode: number; readonly stdout: string }>;

const defaultPaths = ['.devcontainer/devcontainer.json', '.devcontainer.json'];
const foldersMax = 50;

/**
 * Finds the configuration of the folder that the environment is for, the one at `specifiedPath` or the one
 * that counts; `run` starts in that folder, the answer's path is from the repository's root. Errors as
 * `chooseConfigurationPath`; `invalid_argument` for a path that leaves the repository.
 */
export async function findConfiguration(
  run: RunInWorkspace,
  specifiedPath: string,
  place: WorkspacePlace,
): Promise<FoundConfiguration> {
  const file = await findFile(run, specifiedPath);
  if (file === undefined || place.subfolder === '') return { place, file };
  return { place, file: { ...file, path: `${place.subfolder}/${file.path}` } };
}

async function findFile(run: RunInWorkspace, specifiedPath: string): Promise<ConfigurationFile | undefined> {
  if (specifiedPath.split('/').includes('..')) {
    throw new AtelierError(
      'invalid_argument',
      `The Dev Container configuration ${JSON.stringify(specifiedPath)} is outside the repository. Name a path in it.`,
    );
  }
  const wanted = specifiedPath === '' ? defaultPaths : [specifiedPath];
  for (const path of wanted) {
    const text = await readText(run, path);
    if (text !== undefined) return { path, text };
  }
  const present = [
    ...(specifiedPath === '' ? [] : await existing(run, defaultPaths)),
    ...(await namedConfigurations(run)),
  ];
  const path = chooseConfigurationPath(present, specifiedPath === '' ? undefined : specifiedPath);
  if (path === undefined) return undefined;
  const text = await readText(run, path);
  if (text === undefined) throw new AtelierError('not_found', `${path} cannot be read in the repository.`);
  return { path, text };
}

/** A file only: whoever wrote the repository may have put a pipe there, which would be read for ever. */
async function readText(run: RunInWorkspace, path: string): Promise<string | undefined> {
  const at = `./${path}`;
  const [file, anything] = await Promise.all([
    run(['test', '-f', at]),
    run(['test', '-e', at, '-o', '-L', at]),
  ]);
  if (file.exitCode !== 0) {
    if (anything.exitCode !== 0) return undefined;
    throw unusable(path, 'it is no file, or a link that leads to none. Put a file there, or nothing');
  }
  const { exitCode, stdout } = await run(['cat', at]).catch((thrown: unknown) => {
    if (toAtelierError(thrown).code !== 'invalid_argument') throw thrown;
    throw unusable(path, 'it is far too large. Make it shorter');
  });
  if (exitCode !== 0) throw unusable(path, 'reading it failed. Look at it in the repository');
  return stdout;
}

function unusable(path: string, why: string): AtelierError {
  return new AtelierError('invalid_argument', `${path} cannot be used: ${why}.`);
}

async function namedConfigurations(run: RunInWorkspace): Promise<string[]> {
  const { exitCode, stdout } = await run(['ls', '-1', './.devcontainer']);
  if (exitCode !== 0) return [];
  const folders = stdout.split('\n').filter((name) => name !== '' && !name.startsWith('.'));
  return existing(
    run,
    folders.slice(0, foldersMax).map((folder) => `.devcontainer/${folder}/devcontainer.json`),
  );
}

async function existing(run: RunInWorkspace, paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    if ((await run(['test', '-f', `./${path}`])).exitCode === 0) found.push(path);
  }
  return found;
}
