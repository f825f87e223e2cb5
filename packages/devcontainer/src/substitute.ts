/** Replacement of `${...}` variables in a configuration. */
import { AtelierError } from '@atelier/api';
import type { DevContainerConfiguration } from './configuration.ts';
import { basenameOf } from './paths.ts';
import { resolveWorkspaceFolder } from './workspace.ts';

/** What variables are replaced with; what is not known yet stays as it is written. */
export interface SubstitutionContext {
  /** The repository's folder as the configuration may see it (absolute). */
  localWorkspaceFolder: string;
  /** The allowed variables of the machine; every other one is empty. Default: none. */
  localEnv?: Readonly<Record<string, string>>;
  /** The variables of every process of the environment (image and `containerEnv`), once they are known. */
  containerEnv?: Readonly<Record<string, string>>;
  /** See {@link devContainerId}; known when the labels are. */
  devContainerId?: string;
}

/** The labels that name a dev container: its configuration file and its folder, both as absolute paths. */
export interface DevContainerLabels {
  configurationFile: string;
  localFolder: string;
}

/**
 * The value of `${devcontainerId}`: the same for the same labels, 52 characters of `0-9a-v`. It is the
 * SHA-256 of the JSON of the labels in base 32; `sha256` gets that text as UTF-8 and answers 32 bytes.
 */
export function devContainerId(labels: DevContainerLabels, sha256: (text: string) => Uint8Array): string {
  const text = JSON.stringify({
    'devcontainer.config_file': labels.configurationFile,
    'devcontainer.local_folder': labels.localFolder,
  });
  let value = 0n;
  for (const byte of sha256(text)) value = (value << 8n) | BigInt(byte);
  return value.toString(32).padStart(52, '0');
}

/** A configuration whose variables are replaced, and what could not be replaced as its author meant it. */
export interface SubstitutedConfiguration {
  configuration: DevContainerConfiguration;
  warnings: string[];
}

/**
 * Replaces variables in every text of the configuration (values, never keys): `${localEnv:NAME[:default]}`
 * and its older spelling `${env:...}`, `${containerEnv:NAME[:default]}`, `${localWorkspaceFolder}`,
 * `${containerWorkspaceFolder}`, both with `Basename`, `${devcontainerId}`. Anything else in `${}` stays, for
 * a shell to read, `${env}` included. Replaced text is not looked at again, so call it on the parsed configuration each time:
 * once before the image exists, once more when the container's variables are known. A local variable that is
 * not allowed and has no default becomes empty and is named in a warning. `invalid_argument` for an empty
 * name (`${localEnv:}`).
 */
export function substitute(
  configuration: DevContainerConfiguration,
  context: SubstitutionContext,
): SubstitutedConfiguration {
  const warnings = new Set<string>();
  const values = variableValues(context, warnings);
  const early = configuration.workspaceFolder;
  const workspaceFolder = resolveWorkspaceFolder(
    early === undefined ? {} : { workspaceFolder: replaceIn(early, values) },
    context.localWorkspaceFolder,
  );
  values.set('containerWorkspaceFolder', () => workspaceFolder);
  values.set('containerWorkspaceFolderBasename', () => basenameOf(workspaceFolder));
  return { configuration: replaceDeep(configuration, values), warnings: [...warnings] };
}

type Replacement = (argument: string | undefined, written: string) => string;

function variableValues(context: SubstitutionContext, warnings: Set<string>): Map<string, Replacement> {
  const local: Replacement = (argument, written) =>
    lookUp(argument, written, context.localEnv ?? {}, (name) => {
      warnings.add(
        `${written} is empty: the variable ${name} of the machine is not passed on to environments; give a default (\${localEnv:${name}:value}) or set it inside.`,
      );
    });
  return new Map<string, Replacement>([
    ['localEnv', local],
    ['env', local],
    [
      'containerEnv',
      (argument, written) =>
        context.containerEnv ? lookUp(argument, written, context.containerEnv, () => {}) : written,
    ],
    ['localWorkspaceFolder', () => context.localWorkspaceFolder],
    ['localWorkspaceFolderBasename', () => basenameOf(context.localWorkspaceFolder)],
    ['devcontainerId', (_argument, written) => context.devContainerId ?? written],
  ]);
}

function lookUp(
  argument: string | undefined,
  written: string,
  environment: Readonly<Record<string, string>>,
  missing: (name: string) => void,
): string {
  if (argument === undefined) return written;
  const colon = argument.indexOf(':');
  const name = colon < 0 ? argument : argument.slice(0, colon);
  if (name === '') {
    throw new AtelierError(
      'invalid_argument',
      `${written} in the Dev Container configuration names no environment variable; write the name after the first colon.`,
    );
  }
  if (Object.hasOwn(environment, name)) return environment[name] ?? '';
  if (colon >= 0) return argument.slice(colon + 1);
  missing(name);
  return '';
}

function replaceIn(text: string, values: Map<string, Replacement>): string {
  return text.replace(/\$\{([^{}:]*)(?::([^{}]*))?\}/g, (written, name: string, argument?: string) => {
    const replacement = values.get(name);
    return replacement ? replacement(argument, written) : written;
  });
}

function replaceDeep<T>(value: T, values: Map<string, Replacement>): T {
  if (typeof value === 'string') return replaceIn(value, values) as T;
  if (Array.isArray(value)) return value.map((element: unknown) => replaceDeep(element, values)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, element]) => [key, replaceDeep(element as unknown, values)]),
  ) as T;
}
