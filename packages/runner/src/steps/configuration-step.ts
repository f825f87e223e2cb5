/** The dev container configuration was read, checked and kept. */
import { AtelierError } from '@atelier/api';
import {
  parseConfiguration,
  planImage,
  planLifecycle,
  substitute,
  type LifecycleEntry,
} from '@atelier/devcontainer';
import { writeConfiguration, type ReadConfiguration } from '../configuration.ts';
import { findConfiguration, type FoundConfiguration } from '../content/configuration-file.ts';
import { workspacesFolder } from '../content/source.ts';
import { folderNameOf, isLocalRunner } from '../environment.ts';
import { insideOf } from '../inside.ts';
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
  if (initialize !== undefined) await runInitialize(context, initialize.parallel, signal);
  return {};
};

async function found(context: StepContext, signal: AbortSignal): Promise<FoundConfiguration> {
  const { memory } = context;
  const { content, devcontainer } = specOf(context);
  const seen = memory.found;
  memory.found = undefined;
  if (seen !== undefined) return seen;
  if ((content?.initializer?.specs.length ?? 0) === 0) return { file: undefined };
  return inWorkspace(context, 'content', signal, (throwaway, workingDirectory) =>
    findConfiguration(
      (words) => throwaway.run({ arguments: words, workingDirectory }),
      devcontainer?.devcontainerFilePath ?? '',
    ),
  );
}

function readFound(context: StepContext, session: string, { file }: FoundConfiguration): ReadConfiguration {
  const { devcontainer } = specOf(context);
  if (file === undefined) {
    const image = devcontainer?.defaultDevcontainerImage ?? '';
    const configuration = image === '' ? {} : { image };
    return { session, path: '', presence: 'generated', configuration, warnings: [] };
  }
  const { configuration, warnings } = parseConfiguration(file.text, file.path);
  const presence = (devcontainer?.devcontainerFilePath ?? '') === '' ? 'discovered' : 'specified';
  return { session, path: file.path, presence, configuration, warnings };
}

/** Tries everything that is later done with it, so that what is wrong shows here. */
function checked(context: StepContext, read: ReadConfiguration): ReadConfiguration {
  const folder = folderNameOf(context.desired, isLocalRunner(context.parts.ledger));
  const inside = insideOf(read, undefined, folder);
  if (read.path !== '') planImage(substituted(context, read), read.path, `${workspacesFolder}/${folder}`);
  const { workspaceFolder, mountTarget } = inside;
  if (!/^\/[^\0]*[^/\0]/.test(mountTarget) || !workspaceFolder.startsWith('/')) {
    throw new AtelierError(
      'invalid_argument',
      `${read.path}: the workspace cannot stand at ${JSON.stringify(mountTarget)}. Name an absolute folder below the root.`,
    );
  }
  return read;
}

function substituted(context: StepContext, read: ReadConfiguration) {
  const folder = folderNameOf(context.desired, isLocalRunner(context.parts.ledger));
  return substitute(read.configuration, { localWorkspaceFolder: `${workspacesFolder}/${folder}` })
    .configuration;
}

async function runInitialize(
  context: StepContext,
  entries: readonly LifecycleEntry[],
  signal: AbortSignal,
): Promise<void> {
  const { parts, environmentId, progress } = context;
  await inWorkspace(context, 'initialize', signal, async (throwaway, workingDirectory) => {
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
  part: 'content' | 'initialize',
  signal: AbortSignal,
  work: (throwaway: Throwaway, workingDirectory: string) => Promise<T>,
): Promise<T> {
  const folder = folderNameOf(context.desired, isLocalRunner(context.parts.ledger));
  const target = `${workspacesFolder}/${folder}`;
  return inThrowaway(context, part, [{ kind: 'workspace', target }], signal, (throwaway) =>
    work(throwaway, target),
  );
}

function lastLines(text: string): string {
  const lines = text.split('\n').slice(-5).join('\n');
  return lines === '' ? 'the command said nothing.' : lines.slice(-1000);
}
