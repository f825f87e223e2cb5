import {
  EnvironmentInitializerSchema,
  GitInitializer_CloneTargetMode as TargetMode,
} from '@atelier/api/gitpod/environment';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { takeCredential } from './initializer.ts';

const git = (remoteUri: string, upstreamRemoteUri = '') =>
  create(EnvironmentInitializerSchema, {
    specs: [{ spec: { case: 'git', value: { remoteUri, upstreamRemoteUri } } }],
  });
const contextUrl = (url: string) =>
  create(EnvironmentInitializerSchema, { specs: [{ spec: { case: 'contextUrl', value: { url } } }] });

describe('an initializer', () => {
  it.each([
    [
      git('https://some%40body:p%2Fw@example.test/a/b.git'),
      'https://example.test/a/b.git',
      'some%40body:p%2Fw',
    ],
    [git('http://token@127.0.0.1:8080/b'), 'http://127.0.0.1:8080/b', 'token'],
    [git('https://:password@example.test/b'), 'https://example.test/b', ':password'],
    [git('https://a:b@c:d@example.test/b'), 'https://example.test/b', 'a:b%40c%3Ad'],
    [git('https:\\\\me:secret@example.test\\b'), 'https://example.test/b', 'me:secret'],
  ])('%# is stored without the credential of its URL', (asked, remoteUrl, userInfo) => {
    const { initializer, credential } = takeCredential(asked);
    expect(credential).toEqual({ remoteUrl, userInfo });
    expect(initializer).toEqual(git(remoteUrl));
  });

  it.each([
    git('https://example.test/a/b.git'),
    git('git@example.test:a/b.git'),
    git('ssh://git@example.test:2222/a/b.git'),
    git('file:///srv/a%20b@c'),
    git(''),
    contextUrl('https://example.test/a/b'),
    create(EnvironmentInitializerSchema),
  ])('%j without one stays as it is', (asked) => {
    expect(takeCredential(asked)).toEqual({ initializer: asked, credential: undefined });
  });

  it('of a page is the repository behind it, without its credential', () => {
    const { initializer, credential } = takeCredential(
      contextUrl('https://me:secret@example.test/a/b/tree/feature/two'),
    );
    expect(credential).toEqual({ remoteUrl: 'https://example.test/a/b.git', userInfo: 'me:secret' });
    const { REMOTE_BRANCH } = TargetMode;
    expect(initializer.specs[0]?.spec).toMatchObject({
      case: 'git',
      value: {
        remoteUri: 'https://example.test/a/b.git',
        targetMode: REMOTE_BRANCH,
        cloneTarget: 'feature/two',
      },
    });
  });

  it('keeps nothing of a second remote but its address', () => {
    const { initializer, credential } = takeCredential(
      git('https://example.test/a', 'https://me:secret@example.test/b'),
    );
    expect(credential).toBeUndefined();
    expect(initializer).toEqual(git('https://example.test/a', 'https://example.test/b'));
  });

  it.each([
    git('https://me:se/cret@example.test/a/b'),
    git('https://me:secret@exa mple.test/a/b'),
    git('ssh://git:secret@example.test/a/b'),
    git('ftp://me:secret@example.test/a/b'),
    git('https://example.test/a', 'ssh://git:secret@example.test/b'),
  ])('%# that would keep a secret is refused, and the refusal holds none', (asked) => {
    const refusal = { code: 'invalid_argument', message: expect.not.stringMatching(/se.?cret/) };
    expect(() => takeCredential(asked)).toThrow(expect.objectContaining(refusal));
  });
});
