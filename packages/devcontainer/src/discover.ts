/** Where a repository keeps its Dev Container configurations, and which one counts. */
import { AtelierError } from '@atelier/api';

const defaultPaths = ['.devcontainer/devcontainer.json', '.devcontainer.json'];
const namedPath = /^\.devcontainer\/[^/]+\/devcontainer\.json$/;

/**
 * The configurations among a repository's files (paths from its root, with `/`), in the order in which they
 * count: `.devcontainer/devcontainer.json`, `.devcontainer.json`, then one per folder in `.devcontainer`, by
 * name. With `specifiedPath` the answer is that path alone, whether it is in the list or not.
 */
export function discoverConfigurationPaths(filePaths: readonly string[], specifiedPath?: string): string[] {
  if (specifiedPath) return [normalizePath(specifiedPath)];
  const present = new Set(filePaths.map(normalizePath));
  return [
    ...defaultPaths.filter((path) => present.has(path)),
    ...[...present].filter((path) => namedPath.test(path)).sort(),
  ];
}

/**
 * Chooses the configuration. Undefined when there is none and none was named: the default image is used. One
 * at a default place wins over those in folders. `failed_precondition` when there are several in folders and
 * none at a default place; `not_found` when the named one does not exist. Both list what there is.
 */
export function chooseConfigurationPath(
  filePaths: readonly string[],
  specifiedPath?: string,
): string | undefined {
  const found = discoverConfigurationPaths(filePaths);
  if (specifiedPath) {
    const path = normalizePath(specifiedPath);
    if (filePaths.some((candidate) => normalizePath(candidate) === path)) return path;
    throw new AtelierError(
      'not_found',
      `The repository has no Dev Container configuration ${path}. ${found.length === 0 ? 'It has none at all: name none to get the default image.' : `It has: ${found.join(', ')}.`}`,
    );
  }
  const [first] = found;
  if (first !== undefined && namedPath.test(first) && found.length > 1) {
    throw new AtelierError(
      'failed_precondition',
      `The repository has ${found.length} Dev Container configurations and none was chosen: ${found.join(', ')}. Name one of these paths.`,
    );
  }
  return first;
}

function normalizePath(path: string): string {
  return path.replace(/^(?:\.?\/)+/, '');
}
