/** Which image an environment is made from. */
import { AtelierError } from '@atelier/api';
import type { DevContainerConfiguration } from './configuration.ts';
import { folderOf, joinPath, relativeInside } from './paths.ts';

/** How the image comes about. All paths are relative to the repository's root and stay in it. */
export type ImagePlan =
  | { kind: 'reference'; reference: string }
  | {
      kind: 'build';
      /** The folder that the build sees; `.` is the repository. */
      contextPath: string;
      dockerfilePath: string;
      /** The stage to stop at; empty means the last. */
      target: string;
      args: Record<string, string>;
    }
  | { kind: 'default' };

/**
 * Plans the image of a substituted configuration that stands at `path` (from the repository's root). A build
 * wins over an image. A path in the file may start with the repository's own folder, `localWorkspaceFolder`,
 * because `${localWorkspaceFolder}` puts it there. `invalid_argument` for a path that leaves the repository.
 */
export function planImage(
  configuration: DevContainerConfiguration,
  path: string,
  localWorkspaceFolder?: string,
): ImagePlan {
  const build = configuration.build ?? {};
  const dockerfile = build.dockerfile ?? configuration.dockerFile;
  if (dockerfile !== undefined) {
    const inRepository = (property: string, written: string): string =>
      insidePath(path, property, written, localWorkspaceFolder);
    return {
      kind: 'build',
      contextPath: inRepository('build.context', build.context ?? configuration.context ?? '.'),
      dockerfilePath: inRepository('build.dockerfile', dockerfile),
      target: build.target ?? '',
      args: { ...build.args },
    };
  }
  if (configuration.image !== undefined) return { kind: 'reference', reference: configuration.image };
  return { kind: 'default' };
}

function insidePath(
  configurationPath: string,
  property: string,
  written: string,
  localWorkspaceFolder: string | undefined,
): string {
  const path = written.startsWith('/')
    ? localWorkspaceFolder && relativeInside(localWorkspaceFolder, written)
    : joinPath(folderOf(configurationPath), written);
  if (path === undefined || path === '..' || path.startsWith('../') || path === '') {
    throw new AtelierError(
      'invalid_argument',
      `${configurationPath}: ${property} ${JSON.stringify(written)} leaves the repository. Builds see the repository only: name a path in it, relative to the folder of ${configurationPath}.`,
    );
  }
  return path;
}
