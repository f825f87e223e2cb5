/** Which users and which environment variables a configuration asks for. */
import type { DevContainerConfiguration } from './configuration.ts';

/** The users of an environment, as names or ids (`name`, `1000`, `name:group`), never empty. */
export interface ResolvedUsers {
  /** The owner of the first process. */
  containerUser: string;
  /** The owner of commands, terminals, editors and the repository's files. */
  remoteUser: string;
}

/** Resolves the users: the configuration's, else the image's (its USER; may be empty), else root. */
export function resolveUsers(
  configuration: DevContainerConfiguration,
  imageUser: string | undefined,
): ResolvedUsers {
  const containerUser = configuration.containerUser || imageUser || 'root';
  return { containerUser, remoteUser: configuration.remoteUser || containerUser };
}

/** The variables of every process: the image's, then `containerEnv` on top. */
export function containerEnvironment(
  configuration: DevContainerConfiguration,
  imageEnvironment: Readonly<Record<string, string>>,
): Record<string, string> {
  return { ...imageEnvironment, ...configuration.containerEnv };
}

/**
 * The variables of commands, terminals and editors: those of every process, then `remoteEnv` on top, where
 * null takes a variable away. The configuration must have been substituted with those of every process.
 */
export function remoteEnvironment(
  configuration: DevContainerConfiguration,
  container: Readonly<Record<string, string>>,
): Record<string, string> {
  const environment: Record<string, string> = { ...container };
  for (const [name, value] of Object.entries(configuration.remoteEnv ?? {})) {
    if (value === null) delete environment[name];
    else environment[name] = value;
  }
  return environment;
}
