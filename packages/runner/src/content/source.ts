/** What an environment's workspace is filled with, as its spec says: checked, and nothing done yet. */
import { AtelierError } from '@atelier/api';
import {
  GitInitializer_CloneTargetMode as TargetMode,
  type EnvironmentSpec,
  type GitInitializer,
} from '@atelier/api/gitpod/environment';
import { parseRemote, requireCommit, requireRefName, type GitRemote } from './remote.ts';

/** What is checked out of a remote. */
export type CloneTarget =
  | { readonly kind: 'head' }
  | { readonly kind: 'branch' | 'tag' | 'commit' | 'local-branch'; readonly name: string };

/** What the workspace is filled with. */
export type ContentSource =
  | { readonly kind: 'none'; readonly folder: string }
  | {
      readonly kind: 'git';
      readonly remote: GitRemote;
      /** Clean URL of a second remote, undefined when there is none. */
      readonly upstreamUrl: string | undefined;
      readonly target: CloneTarget;
      /** Name of the folder under /workspaces. */
      readonly folder: string;
    }
  /** A folder of this machine, or a bare repository on it: which of the two is seen when it is looked at. */
  | { readonly kind: 'local'; readonly remote: GitRemote; readonly folder: string };

/** Where the repository stands in an environment, and which folder of it the environment is for. */
export interface WorkspacePlace {
  /** Name of the repository's folder under /workspaces. */
  readonly folder: string;
  /** The folder in it that was asked for, empty for the repository itself. */
  readonly subfolder: string;
}

/** Where workspaces stand inside. */
export const workspacesFolder = '/workspaces';

/** The repository's own folder, as an absolute path inside. */
export function repositoryFolder({ folder }: WorkspacePlace): string {
  return `${workspacesFolder}/${folder}`;
}

/** The folder that the environment is for, as an absolute path inside. */
export function placedFolder(place: WorkspacePlace): string {
  return place.subfolder === '' ? repositoryFolder(place) : `${repositoryFolder(place)}/${place.subfolder}`;
}

/** The place of a copy of a local folder: the repository keeps its own name around a folder of it. */
export function placeOfLocal(
  folder: string,
  local: { readonly path: string; readonly subfolder: string },
): WorkspacePlace {
  if (local.subfolder === '') return { folder, subfolder: '' };
  return { folder: safeName(local.path.split('/').at(-1) ?? ''), subfolder: local.subfolder };
}

/**
 * Reads the content of a spec. `invalid_argument` for a remote, target or folder that is malformed, and for
 * more than one initializer; `permission_denied` for a file URL on a runner that is not `local`.
 */
export function contentSource(spec: EnvironmentSpec, isLocal: boolean): ContentSource {
  const [initializer, ...more] = spec.content?.initializer?.specs ?? [];
  if (more.length > 0) {
    throw new AtelierError('invalid_argument', 'An environment has one repository: give one initializer.');
  }
  if (initializer?.spec.case === 'git') return gitSource(initializer.spec.value, isLocal);
  if (initializer?.spec.case === 'contextUrl') {
    const remote = requireLocal(parseRemote(initializer.spec.value.url), isLocal);
    const folder = folderOf(remote);
    if (remote.kind === 'file') return { kind: 'local', remote, folder };
    return { kind: 'git', remote, upstreamUrl: undefined, target: { kind: 'head' }, folder };
  }
  return { kind: 'none', folder: 'workspace' };
}

function gitSource(initializer: GitInitializer, isLocal: boolean): ContentSource {
  const remote = requireLocal(parseRemote(initializer.remoteUri), isLocal);
  const { upstreamRemoteUri, checkoutLocation } = initializer;
  return {
    kind: 'git',
    remote,
    upstreamUrl: upstreamRemoteUri === '' ? undefined : parseRemote(upstreamRemoteUri).url,
    target: targetOf(initializer),
    folder: checkoutLocation === '' ? folderOf(remote) : requireFolder(checkoutLocation),
  };
}

function targetOf({ targetMode, cloneTarget }: GitInitializer): CloneTarget {
  switch (targetMode) {
    case TargetMode.REMOTE_BRANCH:
      return { kind: 'branch', name: requireRefName(cloneTarget, 'branch') };
    case TargetMode.LOCAL_BRANCH:
      return { kind: 'local-branch', name: requireRefName(cloneTarget, 'branch') };
    case TargetMode.REMOTE_TAG:
      return { kind: 'tag', name: requireRefName(cloneTarget, 'tag') };
    case TargetMode.REMOTE_COMMIT:
      return { kind: 'commit', name: requireCommit(cloneTarget) };
    default:
      return { kind: 'head' };
  }
}

function requireLocal(remote: GitRemote, isLocal: boolean): GitRemote {
  if (remote.kind !== 'file' || isLocal) return remote;
  throw new AtelierError(
    'permission_denied',
    'A file URL names a folder of the runner, which is not yours. Use a remote that the runner can reach.',
  );
}

/** The folder that a clone of the remote would get, of characters that are at home everywhere. */
function folderOf(remote: GitRemote): string {
  const tail =
    remote.url
      .replace(/[?#].*$/, '')
      .replace(/\/+$/, '')
      .split(/[/:]/)
      .at(-1) ?? '';
  return safeName(tail.replace(/\.git$/, ''));
}

function safeName(text: string): string {
  const name = text
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[-.]+/, '')
    .slice(0, 100);
  return name === '' ? 'workspace' : name;
}

function requireFolder(name: string): string {
  if (/^[A-Za-z0-9_.][A-Za-z0-9._-]{0,99}$/.test(name) && !/^\.{1,2}$|^\.git$/.test(name)) return name;
  throw new AtelierError(
    'invalid_argument',
    `The checkout location ${JSON.stringify(name.slice(0, 100))} is no name of a folder under ${workspacesFolder}. Use letters, digits, ".", "_" and "-".`,
  );
}
