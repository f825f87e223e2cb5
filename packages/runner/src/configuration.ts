/**
 * The dev container configuration of an environment as it was read from its workspace: kept on the runner's
 * disk per dev container session, since the workspace may change and the environment must not with it.
 */
import { AtelierError } from '@atelier/api';
import type { DevContainerConfiguration } from '@atelier/devcontainer';
import type { WorkspacePlace } from './content/source.ts';
import type { RecordStorage } from './storage.ts';

/** How the configuration came about. */
export type ConfigurationPresence = 'generated' | 'discovered' | 'specified';

/** A configuration that was read, checked and not yet substituted. */
export interface ReadConfiguration {
  /** The dev container session that it was read for. */
  readonly session: string;
  /** Its path from the repository's root, empty for a generated one. */
  readonly path: string;
  readonly presence: ConfigurationPresence;
  /** Where it was read; absent in what an older version kept: the repository itself. */
  readonly place?: WorkspacePlace | undefined;
  readonly configuration: DevContainerConfiguration;
  /** What the file asks for and does not get. */
  readonly warnings: readonly string[];
}

/** What is used where no configuration was read: the base image and nothing else. */
export const emptyConfiguration: ReadConfiguration = {
  session: '',
  path: '',
  presence: 'generated',
  configuration: {},
  warnings: [],
};

const documentVersion = 1;
// The present one, and during a rebuild the one that the running instance was made from.
const sessionsKept = 2;

interface ConfigurationDocument {
  readonly version: number;
  readonly configurations: readonly ReadConfiguration[];
}

/** The configuration that was read for a session, undefined when there is none. */
export async function readConfiguration(
  storage: RecordStorage,
  environmentId: string,
  session: string,
): Promise<ReadConfiguration | undefined> {
  const configurations = await readAll(storage, environmentId);
  return configurations.find((each) => each.session === session);
}

/** Where the last configuration that was kept was read; undefined when there is none. */
export async function lastPlace(
  storage: RecordStorage,
  environmentId: string,
): Promise<WorkspacePlace | undefined> {
  const configurations = await readAll(storage, environmentId).catch(() => []);
  return configurations.at(-1)?.place;
}

/** Keeps a configuration for its session, beside the one before it. */
export async function writeConfiguration(
  storage: RecordStorage,
  environmentId: string,
  configuration: ReadConfiguration,
): Promise<void> {
  const before = await readAll(storage, environmentId).catch(() => []);
  const others = before.filter((each) => each.session !== configuration.session);
  const document: ConfigurationDocument = {
    version: documentVersion,
    configurations: [...others, configuration].slice(-sessionsKept),
  };
  await storage.write(environmentId, 'configuration', `${JSON.stringify(document, undefined, 1)}\n`);
}

async function readAll(storage: RecordStorage, environmentId: string): Promise<readonly ReadConfiguration[]> {
  const text = await storage.read(environmentId, 'configuration');
  if (text === undefined) return [];
  try {
    const document = JSON.parse(text) as ConfigurationDocument;
    if (document.version === documentVersion && Array.isArray(document.configurations)) {
      return document.configurations;
    }
  } catch {
    // Said below, together with a document of another version.
  }
  throw new AtelierError(
    'failed_precondition',
    `The configuration kept for environment ${environmentId} cannot be used. Rebuild the environment to read it anew.`,
  );
}
