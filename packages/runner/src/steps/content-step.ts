/** The repository is in the workspace. */
import { AtelierError } from '@atelier/api';
import type { InstanceMount } from '@atelier/driver';
import type { StepResult } from '@atelier/reconcile';
import {
  authorCommands,
  cloneOf,
  copyCommand,
  sourceMount,
  type Clone,
  type ContentCommand,
} from '../content/clone.ts';
import { findConfiguration } from '../content/configuration-file.ts';
import { withCredential } from '../content/credential.ts';
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
import { keyMounts, type FoundKeys } from '../content/ssh-keys.ts';
import { missingText, submodulesIn, type MissingSubmodule } from '../content/submodules.ts';
import { isLocalRunner } from '../environment.ts';
import type { ProcessEnd } from '../supervisor-client/process.ts';
import { specOf, type StepContext, type StepFunction } from './step.ts';
import { inThrowaway, throwawayName, type Throwaway } from './throwaway.ts';

/** What fills the workspace: the commands, and what of the machine they may read. */
interface Filling {
  readonly commands: readonly ContentCommand[];
  /** Set when it is a clone, which may have submodules. */
  readonly clone: Clone | undefined;
  readonly mounts: readonly InstanceMount[];
  readonly remote: GitRemote | undefined;
  readonly sshKeys: FoundKeys | undefined;
  readonly place: WorkspacePlace;
}

/** Where the commands of a filling run. */
interface Workplace {
  readonly context: StepContext;
  readonly throwaway: Throwaway;
  readonly filling: Filling;
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
  const mounts: InstanceMount[] = [{ kind: 'workspace', target: repositoryFolder(place) }, ...filling.mounts];
  return inThrowaway(context, 'content', mounts, signal, async (throwaway): Promise<StepResult> => {
    const workplace = { context, throwaway, filling };
    for (const command of filling.commands) await runCommand(workplace, command);
    const contentWarning = await fetchSubmodules(workplace);
    // Read while the instance is there; whatever is wrong with it is the configuration step's to say.
    const path = spec.devcontainer?.devcontainerFilePath ?? '';
    const run = (words: readonly string[]) =>
      throwaway.run({ arguments: words, workingDirectory: placedFolder(place) });
    memory.found = await findConfiguration(run, path, place).catch(() => undefined);
    return contentWarning === '' ? {} : { contentWarning };
  });
};

async function fillingOf(
  { parts, desired, environmentId }: StepContext,
  source: Exclude<ContentSource, { kind: 'none' }>,
): Promise<Filling> {
  const content = desired.environment?.spec?.content;
  const author = content ?? { gitUsername: '', gitEmail: '' };
  const place = { folder: source.folder, subfolder: '' };
  const local = source.remote.kind === 'file' ? await parts.localFolders.look(source.remote.path) : undefined;
  const mounts: InstanceMount[] =
    local === undefined ? [] : [{ kind: 'host-read-only', source: local.path, target: sourceMount }];
  if (source.kind === 'local' && local === undefined) {
    throw new AtelierError('internal', 'A local folder was planned without its path.');
  }
  if (source.kind === 'git' || local?.kind === 'bare') {
    const boxes = content?.sealedCredentials ?? [];
    const remote = withCredential(source.remote, boxes, environmentId, parts.identity);
    const isOwnMachine = remote.kind === 'ssh' && isLocalRunner(parts.ledger);
    const sshKeys = isOwnMachine ? await parts.sshKeys.look() : undefined;
    if (sshKeys !== undefined) mounts.push(...keyMounts(remote, sshKeys));
    const git =
      source.kind === 'git'
        ? { ...source, remote }
        : ({ ...source, kind: 'git', remote, upstreamUrl: undefined, target: { kind: 'head' } } as const);
    const clone = cloneOf(git, author, { hostFolder: local?.path, sshKeys });
    return { commands: clone.commands, clone, mounts, remote, sshKeys, place };
  }
  const excluded = excludedPath(local?.path ?? '', parts.settings.home);
  return {
    commands: [copyCommand(excluded), ...authorCommands(author)],
    clone: undefined,
    mounts,
    remote: undefined,
    sshKeys: undefined,
    place: local === undefined ? place : placeOfLocal(source.folder, local),
  };
}

async function runCommand(workplace: Workplace, command: ContentCommand): Promise<void> {
  const { remote, sshKeys } = workplace.filling;
  const { exitCode, stderr } = await execute(workplace, command);
  if (exitCode !== 0 && command.optional !== true) {
    throw contentFailure(stderr, exitCode, remote, sshKeys);
  }
}

/** Fetches what can be fetched and gives a warning about the rest; empty when there is none. */
async function fetchSubmodules(workplace: Workplace): Promise<string> {
  const { context, throwaway, filling } = workplace;
  const { clone, place, remote } = filling;
  if (clone === undefined) return '';
  const workingDirectory = repositoryFolder(place);
  const listed = await throwaway.run({ ...clone.listSubmodules, workingDirectory });
  if (listed.exitCode > 1) return `The list of submodules cannot be read: ${listed.stderr.trim()}`;
  const missing: MissingSubmodule[] = [];
  for (const submodule of submodulesIn(listed.stdout)) {
    const { exitCode, stderr } = await execute(workplace, clone.fetchSubmodule(submodule));
    if (exitCode !== 0) missing.push({ path: submodule.path, stderr });
  }
  const warning = missingText(missing, remote);
  if (warning !== '') await context.parts.logs.line(context.environmentId, 'step/content', warning);
  return warning;
}

/** Runs a command, tells how it goes, and keeps what it said. */
async function execute(
  { context, throwaway, filling }: Workplace,
  command: ContentCommand,
): Promise<ProcessEnd> {
  const { parts, environmentId, progress } = context;
  const { remote, place } = filling;
  const say = (text: string): void => {
    const line = withoutCredentials(text, remote)
      .split(/[\r\n]+/)
      .findLast((each) => each.trim() !== '');
    if (line !== undefined) progress(line.trim());
  };
  const { arguments: words, environment } = command;
  const workingDirectory = repositoryFolder(place);
  const end = await throwaway.run({ arguments: words, environment, workingDirectory, onOutput: say });
  const said = withoutCredentials(end.stderr, remote).trim();
  if (said !== '') await parts.logs.line(environmentId, 'step/content', said);
  return end;
}
