/** The repository is in the workspace. */
import { AtelierError } from '@atelier/api';
import type { InstanceMount } from '@atelier/driver';
import {
  authorCommands,
  cloneCommands,
  copyCommand,
  sourceMount,
  type ContentCommand,
} from '../content/clone.ts';
import { findConfiguration } from '../content/configuration-file.ts';
import { contentFailure, withoutCredentials } from '../content/failure.ts';
import { excludedPath } from '../content/local-folder.ts';
import type { GitRemote } from '../content/remote.ts';
import {
  contentSource,
  placedFolder,
  placeOfLocal,
  repositoryFolder,
  type ContentSource,
  type WorkspacePlace,
} from '../content/source.ts';
import { isLocalRunner } from '../environment.ts';
import { specOf, type StepContext, type StepFunction } from './step.ts';
import { inThrowaway, throwawayName, type Throwaway } from './throwaway.ts';

/** What fills the workspace: the commands, and the folder of the machine that they may read. */
interface Filling {
  readonly commands: readonly ContentCommand[];
  readonly hostFolder: string | undefined;
  readonly remote: GitRemote | undefined;
  readonly place: WorkspacePlace;
}

/**
 * Empties the workspace and fills it by a clone or a copy in a throw-away instance. A remote that is refused
 * is refused before anything is touched.
 */
export const contentStep: StepFunction = async (context, _planned, signal) => {
  const { parts, environmentId, memory } = context;
  const spec = specOf(context);
  const source = contentSource(spec, isLocalRunner(parts.ledger));
  if (source.kind === 'none') return {};
  const filling = await fillingOf(context, source);
  await parts.driver.instances.remove(throwawayName(environmentId, 'content'));
  await parts.driver.disks.clearWorkspace(environmentId);
  const { place } = filling;
  const target = repositoryFolder(place);
  const mounts: InstanceMount[] = [{ kind: 'workspace', target }];
  if (filling.hostFolder !== undefined) {
    mounts.push({ kind: 'host-read-only', source: filling.hostFolder, target: sourceMount });
  }
  await inThrowaway(context, 'content', mounts, signal, async (throwaway) => {
    for (const command of filling.commands)
      await runCommand(context, throwaway, command, target, filling.remote);
    // Read while the instance is there; whatever is wrong with it is the configuration step's to say.
    const path = spec.devcontainer?.devcontainerFilePath ?? '';
    const run = (words: readonly string[]) =>
      throwaway.run({ arguments: words, workingDirectory: placedFolder(place) });
    memory.found = await findConfiguration(run, path, place).catch(() => undefined);
  });
  return {};
};

async function fillingOf(
  { parts, desired }: StepContext,
  source: Exclude<ContentSource, { kind: 'none' }>,
): Promise<Filling> {
  const author = desired.environment?.spec?.content ?? { gitUsername: '', gitEmail: '' };
  const { remote } = source;
  const place = { folder: source.folder, subfolder: '' };
  const local = remote.kind === 'file' ? await parts.localFolders.look(remote.path) : undefined;
  if (source.kind === 'git') {
    return { commands: cloneCommands(source, author), hostFolder: local?.path, remote, place };
  }
  if (local === undefined) throw new AtelierError('internal', 'A local folder was planned without its path.');
  if (local.kind === 'bare') {
    const clone = { ...source, kind: 'git', upstreamUrl: undefined, target: { kind: 'head' } } as const;
    return { commands: cloneCommands(clone, author), hostFolder: local.path, remote, place };
  }
  const excluded = excludedPath(local.path, parts.settings.home);
  return {
    commands: [copyCommand(excluded), ...authorCommands(author)],
    hostFolder: local.path,
    remote: undefined,
    place: placeOfLocal(source.folder, local),
  };
}

async function runCommand(
  { parts, environmentId, progress }: StepContext,
  throwaway: Throwaway,
  command: ContentCommand,
  workingDirectory: string,
  remote: GitRemote | undefined,
): Promise<void> {
  const say = (text: string): void => {
    const line = withoutCredentials(text, remote)
      .split(/[\r\n]+/)
      .findLast((each) => each.trim() !== '');
    if (line !== undefined) progress(line.trim());
  };
  const { arguments: words, environment, optional } = command;
  const { exitCode, stderr } = await throwaway.run({
    arguments: words,
    environment,
    workingDirectory,
    onOutput: say,
  });
  const said = withoutCredentials(stderr, remote).trim();
  if (said !== '') await parts.logs.line(environmentId, 'step/content', said);
  if (exitCode !== 0 && optional !== true) throw contentFailure(stderr, exitCode, remote);
}
