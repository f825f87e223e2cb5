/** What the variables of a configuration stand for on this runner. */
import { createHash } from 'node:crypto';
import { devContainerId, type SubstitutionContext } from '@atelier/devcontainer';
import { placedFolder, type WorkspacePlace } from './content/source.ts';

/**
 * What is replaced before there is a container: the repository's folder, and an id that is the environment's own
 * and stays when it is rebuilt.
 */
export function substitutionOf(environmentId: string, place: WorkspacePlace): SubstitutionContext {
  const labels = { configurationFile: '', localFolder: environmentId };
  const sha256 = (text: string): Uint8Array => createHash('sha256').update(text).digest();
  return {
    localWorkspaceFolder: placedFolder(place),
    devContainerId: devContainerId(labels, sha256),
  };
}
