/** What fills a workspace, as it is stored: a context URL resolved, and no credential in any URL. Pure. */
import { AtelierError } from '@atelier/api';
import {
  EnvironmentInitializerSchema,
  GitInitializerSchema,
  type EnvironmentInitializer,
} from '@atelier/api/gitpod/environment';
import { clone, create } from '@bufbuild/protobuf';
import { parseContextUrl } from '../context-url.ts';

/** The credential that stood in an http or https URL. For sealing, never to be written down. */
export interface RemoteCredential {
  /** What stood before the @: user and password as in the URL, percent-encoded. */
  readonly userInfo: string;
  /** The URL without it. */
  readonly remoteUrl: string;
}

/** An initializer as it is stored, and the credential that was in it. */
export interface TakenInitializer {
  readonly initializer: EnvironmentInitializer;
  readonly credential: RemoteCredential | undefined;
}

/**
 * Resolves an initializer and takes the credential of its remote out. What stands in the URL of a second remote
 * is left out too: nothing is fetched from there. `invalid_argument` for a URL that nothing can be made of, for a
 * password where none is used, and for more than one repository.
 */
export function takeCredential(asked: EnvironmentInitializer): TakenInitializer {
  const initializer = clone(EnvironmentInitializerSchema, asked);
  const [first, ...more] = initializer.specs;
  if (more.length > 0) {
    throw new AtelierError(
      'invalid_argument',
      'spec.content.initializer.specs: one repository per environment so far',
    );
  }
  if (first?.spec.case === 'contextUrl') {
    const { cloneUrl, targetMode, target } = parseContextUrl(first.spec.value.url);
    // A URL of a branch, tag or commit is a page of its host: what is cloned is the repository behind it.
    if (target === '') {
      const taken = splitUrl(first.spec.value.url);
      first.spec.value.url = taken.url;
      return { initializer, credential: taken.credential };
    }
    const { url, credential } = splitUrl(cloneUrl);
    const git = create(GitInitializerSchema, { remoteUri: url, targetMode, cloneTarget: target });
    first.spec = { case: 'git', value: git };
    return { initializer, credential };
  }
  if (first?.spec.case !== 'git') return { initializer, credential: undefined };
  const git = first.spec.value;
  const { url, credential } = splitUrl(git.remoteUri);
  git.remoteUri = url;
  git.upstreamRemoteUri = splitUrl(git.upstreamRemoteUri).url;
  return { initializer, credential };
}

/** A URL without its credential; of an ssh URL the user stays, which is no secret and part of the address. */
export function withoutCredential(text: string): string {
  return splitUrl(text).url;
}

function splitUrl(text: string): { url: string; credential: RemoteCredential | undefined } {
  if (!URL.canParse(text)) {
    if (/^[a-z][a-z0-9+.-]*:.*@/i.test(text)) {
      throw new AtelierError(
        'invalid_argument',
        'The URL of the repository cannot be read, and something stands before an @ in it. Write user and password percent-encoded.',
      );
    }
    return { url: text, credential: undefined };
  }
  const url = new URL(text);
  const { username, password, protocol } = url;
  if (protocol !== 'http:' && protocol !== 'https:') {
    if (password === '') return { url: text, credential: undefined };
    throw new AtelierError(
      'invalid_argument',
      `The URL of the repository holds a password, which ${protocol.slice(0, -1)} does not take. Leave it out; ssh uses keys.`,
    );
  }
  if (username === '' && password === '') return { url: text, credential: undefined };
  url.username = '';
  url.password = '';
  const userInfo = password === '' ? username : `${username}:${password}`;
  return { url: url.href, credential: { userInfo, remoteUrl: url.href } };
}
