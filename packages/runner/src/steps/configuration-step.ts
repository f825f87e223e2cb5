/** The dev container configuration was read, checked and kept. */
import { AtelierError } from '@atelier/api';
import {
  parseConfiguration,
  planImage,
  planLifecycle,
  substitute,
  type LifecycleEntry,
} from '@atelier/devcontainer';
import { lastPlace, writeConfiguration, type ReadConfiguration } from '../configuration.ts';
import { findConfiguration, type FoundConfiguration } from '../content/configuration-file.ts';
import {
  contentSource,
  placedFolder,
  placeOfLocal,
  repositoryFolder,
  type WorkspacePlace,
} from '../content/source.ts';
import { isLocalRunner, placeBySpec } from '../environment.ts';
import { insideOf } from '../inside.ts';
import { substitutionOf } from '../substitution.ts';
import { specOf, type StepContext, type StepFunction } from './step.ts';
import { inThrowaway, type Throwaway } from './throwaway.ts';

/**
 * Reads the configuration inside a throw-away instance, runs its initializeCommand in another, and keeps it
 * for the session. A configuration that is wrong is a final failure with the parser's message.
 */
export const configurationStep: StepFunction = async (context, planned, signal) => {
  const { parts, environmentId } = context;
  const read = checked(context, readFound(context, planned.session, await found(context, signal)));
  await writeConfiguration(parts.records, environmentId, read);
  const [initialize] = planLifecycle(substituted(context, read), { firstStart: true }).steps.filter(
    ({ runsIn }) => runsIn === 'throwaway',
  );
  if (initialize !== undefined) {
    await runInitialize(context, placeRead(context, read), initialize.parallel, signal);
  }
  return {};
};

async function found(context: StepContext, signal: AbortSignal): Promise<FoundConfiguration> {
  const { memory } = context;
  const { content, devcontainer } = specOf(context);
  const seen = memory.found;
  memory.found = undefined;
  if (seen !== undefined) return seen;
  const place = await placeOf(context);
  if ((content?.initializer?.specs.length ?? 0) === 0) return { place, file: undefined };
  return inWorkspace(context, place, 'content', signal, (throwaway, workingDirectory) =>
    findConfiguration(
      (words) => throwaway.run({ arguments: words, workingDirectory }),
      devcontainer?.devcontainerFilePath ?? '',
      place,
    ),
  );
}

/** Where the content stands. A local folder that is gone by now was looked at when it was copied. */
async function placeOf(context: StepContext): Promise<WorkspacePlace> {
  const { parts, desired, environmentId } = context;
  const isLocal = isLocalRunner(parts.ledger);
  const source = contentSource(specOf(context), isLocal);
  if (source.kind !== 'local' || source.remote.kind !== 'file') return placeBySpec(desired, isLocal);
  const local = await parts.localFolders.look(source.remote.path).catch(() => undefined);
  if (local?.kind === 'folder') return placeOfLocal(source.folder, local);
  return (await lastPlace(parts.records, environmentId)) ?? placeBySpec(desired, isLocal);
}

function readFound(
  context: StepContext,
  session: string,
  { place, file }: FoundConfiguration,
): ReadConfiguration {
  const { devcontainer } = specOf(context);
  if (file === undefined) {
    const image = devcontainer?.defaultDevcontainerImage ?? '';
    const configuration = image === '' ? {} : { image };
    return { session, path: '', presence: 'generated', place, configuration, warnings: [] };
  }
  const { configuration, warnings } = parseConfiguration(file.text, file.path);
  const presence = (devcontainer?.devcontainerFilePath ?? '') === '' ? 'discovered' : 'specified';
  return { session, path: file.path, presence, place, configuration, warnings };
}

/** Tries everything that is later done with it, so that what is wrong shows here. */
function checked(context: StepContext, read: ReadConfiguration): ReadConfiguration {
  const place = placeRead(context, read);
  const inside = insideOf(read, undefined, place, context.environmentId);
  if (read.path !== '') planImage(substituted(context, read), read.path, repositoryFolder(place));
  const { workspaceFolder, mountTarget } = inside;
  if (!/^\/[^\0]*[^/\0]/.test(mountTarget) || !workspaceFolder.startsWith('/')) {
    throw new AtelierError(
      'invalid_argument',
      `${read.path}: the workspace cannot stand at ${JSON.stringify(mountTarget)}. Name an absolute folder below the root.`,
    );
  }
  return read;
}

function placeRead(context: StepContext, read: ReadConfiguration): WorkspacePlace {
  return read.place ?? placeBySpec(context.desired, isLocalRunner(context.parts.ledger));
}

function substituted(context: StepContext, read: ReadConfiguration) {
  const given = substitutionOf(context.environmentId, placeRead(context, read));
  return substitute(read.configuration, given).configuration;
}

async function runInitialize(
  context: StepContext,
  place: WorkspacePlace,
  entries: readonly LifecycleEntry[],
  signal: AbortSignal,
): Promise<void> {
  const { parts, environmentId, progress } = context;
  await inWorkspace(context, place, 'initialize', signal, async (throwaway, workingDirectory) => {
    const runs = entries.map(async ({ argv }) => {
      progress(`initializeCommand: ${argv.join(' ')}`);
      const { exitCode, stdout, stderr } = await throwaway.run({ arguments: argv, workingDirectory });
      const said = `${stdout}${stderr}`.trim();
      if (said !== '') await parts.logs.line(environmentId, 'lifecycle/initializeCommand', said);
      if (exitCode === 0) return;
      throw new AtelierError(
        'failed_precondition',
        `initializeCommand failed with exit code ${exitCode}: ${lastLines(said)}`,
      );
    });
    await Promise.all(runs);
  });
}

function inWorkspace<T>(
  context: StepContext,
  place: WorkspacePlace,
  part: 'content' | 'initialize',
  signal: AbortSignal,
  work: (throwaway: Throwaway, workingDirectory: string) => Promise<T>,
): Promise<T> {
  const target = repositoryFolder(place);
  return inThrowaway(context, part, [{ kind: 'workspace', target }], signal, (throwaway) =>
    work(throwaway, placedFolder(place)),
  );
}

function lastLines(text: string): string {
  const lines = text.split('\n').slice(-5).join('\n');
  return lines === '' ? 'the command said nothing.' : lines.slice(-1000);
}
