/** Context URLs: from what a person has in the address bar to what is cloned. Pure. */
import { AtelierError } from '@atelier/api';
import { GitInitializer_CloneTargetMode as TargetMode } from '@atelier/api/gitpod/environment';

/** What a context URL means. */
export interface GitContext {
  readonly cloneUrl: string;
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly targetMode: TargetMode;
  /** Branch, tag or commit; empty for the remote's head. */
  readonly target: string;
  readonly branch: string;
  readonly commit: string;
  readonly tag: string;
}

const schemes = new Set(['https:', 'http:', 'ssh:', 'file:']);

/**
 * Reads a context URL: `https://host/owner/repository[.git]`, with `/tree/<branch>`, `/commit/<sha>`,
 * `/releases/tag/<tag>` or `/-/tree/...` behind it, `ssh://`, or `file:///folder` for a repository or a folder
 * on the runner's own machine. `invalid_argument` for anything else.
 */
export function parseContextUrl(text: string): GitContext {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !schemes.has(url.protocol)) {
    throw new AtelierError(
      'invalid_argument',
      `${JSON.stringify(withoutSecrets(text))} is not a repository: give an https, ssh or file URL`,
    );
  }
  if (url.protocol === 'file:') return fileContext(url);
  const parts = url.pathname.split('/').filter((part) => part !== '' && part !== '-');
  const marker = parts.findIndex(
    (part, index) => index >= 2 && ['tree', 'commit', 'commits', 'releases'].includes(part),
  );
  const repositoryParts = marker < 0 ? parts : parts.slice(0, marker);
  const repository = (repositoryParts.at(-1) ?? '').replace(/\.git$/, '');
  if (repository === '') {
    throw new AtelierError('invalid_argument', `${withoutSecrets(text)} names no repository`);
  }
  const base = `${url.protocol}//${url.username ? `${url.username}${url.password ? `:${url.password}` : ''}@` : ''}${url.host}`;
  const suffix = parts[repositoryParts.length - 1]?.endsWith('.git') || marker >= 0 ? '.git' : '';
  const cloneUrl =
    marker < 0
      ? `${base}${url.pathname}`
      : `${base}/${repositoryParts.join('/').replace(/\.git$/, '')}${suffix}`;
  const owner = repositoryParts.slice(0, -1).join('/');
  return { cloneUrl, host: url.host, owner, repository, ...targetOf(marker < 0 ? [] : parts.slice(marker)) };
}

function fileContext(url: URL): GitContext {
  const parts = decoded(url.pathname).split('/').filter(Boolean);
  const repository = (parts.at(-1) ?? '').replace(/\.git$/, '');
  if (url.host !== '' || repository === '') {
    throw new AtelierError('invalid_argument', 'a file URL must name a folder of the runner: file:///folder');
  }
  return { cloneUrl: url.href, host: '', owner: '', repository, ...targetOf([]) };
}

function targetOf(
  parts: readonly string[],
): Pick<GitContext, 'targetMode' | 'target' | 'branch' | 'commit' | 'tag'> {
  const none = { branch: '', commit: '', tag: '' };
  const [kind] = parts;
  if (kind === 'tree' && parts.length > 1) {
    const target = decoded(parts.slice(1).join('/'));
    return { ...none, targetMode: TargetMode.REMOTE_BRANCH, target, branch: target };
  }
  if ((kind === 'commit' || kind === 'commits') && parts[1] !== undefined) {
    return { ...none, targetMode: TargetMode.REMOTE_COMMIT, target: parts[1], commit: parts[1] };
  }
  if (kind === 'releases' && parts[1] === 'tag' && parts[2] !== undefined) {
    const target = decoded(parts.slice(2).join('/'));
    return { ...none, targetMode: TargetMode.REMOTE_TAG, target, tag: target };
  }
  return { ...none, targetMode: TargetMode.REMOTE_HEAD, target: '' };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new AtelierError('invalid_argument', 'the URL has a percent sign before bytes that are no text', {
      cause,
    });
  }
}

/** A URL as it may be shown and stored in metadata: without user name and password. */
export function withoutSecrets(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1');
}
