import { AtelierError } from '@atelier/api';
import {
  EnvironmentSpecSchema,
  GitInitializer_CloneTargetMode as Mode,
} from '@atelier/api/gitpod/environment';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { contentFailure, withoutCredentials } from './failure.ts';
import { parseRemote } from './remote.ts';
import { contentSource } from './source.ts';

function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof AtelierError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

function gitSpec(initializer: Record<string, unknown>) {
  return create(EnvironmentSpecSchema, {
    content: { initializer: { specs: [{ spec: { case: 'git', value: initializer } }] } },
  });
}

describe('remotes', () => {
  it.each([
    ['', 'is empty'],
    ['--upload-pack=touch /tmp/x', 'begins with "-"'],
    ['-oProxyCommand=x', 'begins with "-"'],
    ['https://example.org/a\nb', 'white space'],
    ['https://example.org/a b', 'white space'],
    ['https://example.org/%0aHost:x', 'encoded control character'],
    ['ext::sh -c touch% /tmp/x', 'white space'],
    ['ext::sh', 'transport helper'],
    ['fd::17/foo', 'transport helper'],
    ['::address', 'transport helper'],
    ['ftp://example.org/a', 'is of a form'],
    ['git://example.org/a', 'is of a form'],
    ['/srv/repository', 'is of a form'],
    ['../repository', 'is of a form'],
    ['ssh://-oProxyCommand=x/a', 'malformed host'],
    ['ssh://user@-host/a', 'malformed host'],
    ['ssh://-l@example.org/a', 'malformed user'],
    ['ssh://git:secret@example.org/a', 'holds a password'],
    ['ssh://example.org/-path', 'begins with "-"'],
    ['git@-host:path', 'malformed host'],
    ['git@example.org:-path', 'begins with "-"'],
    ['-git@example.org:path', 'begins with "-"'],
    ['file://other/srv/repository', 'names a host'],
    ['file:///', 'is the root folder'],
    [`https://example.org/${'a'.repeat(3000)}`, 'longer than 2048'],
    ['https://', 'is no URL'],
    ['https://exa$(id)mple.org/a', 'white space, a quote'],
  ])('%s is refused', (remote, why) => {
    const refusal = refusalOf(() => parseRemote(remote));
    expect(refusal).toContain('invalid_argument: The git remote');
    expect(refusal).toContain(why);
  });

  it.each([
    ['https://example.org/team/project.git', 'http', 'https://example.org/team/project.git'],
    ['http://127.0.0.1:8080/p', 'http', 'http://127.0.0.1:8080/p'],
    ['ssh://git@example.org:2222/p', 'ssh', 'ssh://git@example.org:2222/p'],
    ['git@example.org:team/project.git', 'ssh', 'git@example.org:team/project.git'],
    ['file:///srv/repository', 'file', 'file:///srv/repository'],
  ])('%s is accepted', (remote, kind, url) => {
    expect(parseRemote(remote)).toMatchObject({ kind, url, credential: undefined });
  });

  it('takes a credential out of the URL and keeps it apart', () => {
    const remote = parseRemote('https://some%40body:p%2Fw@example.org/p');
    expect(remote.url).toBe('https://example.org/p');
    expect(remote.credential).toEqual({ username: 'some@body', password: 'p/w' });
    expect(parseRemote('https://token@example.org/p').credential).toEqual({
      username: 'token',
      password: 'token',
    });
  });
});

describe('the content of a spec', () => {
  const remoteUri = 'https://example.org/team/project.git';

  it.each([
    [{ remoteUri, targetMode: Mode.REMOTE_BRANCH, cloneTarget: '--orphan' }, 'no name of a branch'],
    [{ remoteUri, targetMode: Mode.REMOTE_BRANCH, cloneTarget: '' }, 'no name of a branch'],
    [{ remoteUri, targetMode: Mode.REMOTE_TAG, cloneTarget: 'a..b' }, 'no name of a tag'],
    [{ remoteUri, targetMode: Mode.LOCAL_BRANCH, cloneTarget: 'a b' }, 'no name of a branch'],
    [{ remoteUri, targetMode: Mode.REMOTE_COMMIT, cloneTarget: 'main' }, 'is no commit'],
    [{ remoteUri, checkoutLocation: '../etc' }, 'no name of a folder'],
    [{ remoteUri, checkoutLocation: '.git' }, 'no name of a folder'],
    [{ remoteUri, checkoutLocation: '/abs' }, 'no name of a folder'],
    [{ remoteUri, upstreamRemoteUri: 'ext::x' }, 'transport helper'],
  ])('%j is refused', (initializer, why) => {
    expect(refusalOf(() => contentSource(gitSpec(initializer), true))).toContain(why);
  });

  it('takes file remotes from a local runner only', () => {
    const spec = gitSpec({ remoteUri: 'file:///srv/repository' });
    expect(refusalOf(() => contentSource(spec, false))).toContain('permission_denied');
    expect(contentSource(spec, true)).toMatchObject({ kind: 'git', folder: 'repository' });
  });

  it('names the folder after the repository', () => {
    expect(contentSource(gitSpec({ remoteUri }), false).folder).toBe('project');
    expect(contentSource(gitSpec({ remoteUri: 'https://example.org/..git' }), false).folder).toBe(
      'workspace',
    );
  });
});

describe('a clone that failed', () => {
  const remote = parseRemote('https://somebody:hunter2@example.org/p');

  it('says which host wants a credential, and holds none', () => {
    const said =
      "Cloning into '.'...\nfatal: Authentication failed for 'https://somebody:hunter2@example.org/p/'\n";
    const error = contentFailure(said, 128, remote);
    expect(error.code).toBe('permission_denied');
    expect(error.message).toContain('example.org wants a credential');
    expect(error.message).not.toMatch(/hunter2|somebody/);
  });

  const ssh = parseRemote('ssh://git@example.org:2222/p');
  const key = { name: 'id_ed25519', path: '/keys/id_ed25519' };
  it.each([
    [undefined, /this runner is not your own machine.*https URL with a token/],
    [{ usable: [], locked: [], knownHosts: undefined }, /none in ~\/.ssh.*ssh-keygen/],
    [{ usable: [], locked: ['id_rsa'], knownHosts: undefined }, /passphrase.*: id_rsa\. Make one without/],
    [{ usable: [key], locked: [], knownHosts: undefined }, /accepts none .*\(~\/.ssh\/id_ed25519\)\. Add/],
  ])('says of ssh keys what was tried and what to do (%#)', (keys, message) => {
    const said =
      'git@example.org: Permission denied (publickey).\nfatal: Could not read from remote repository.';
    const error = contentFailure(said, 128, ssh, keys);
    expect(error).toMatchObject({ code: 'permission_denied', message: expect.stringMatching(message) });
    expect(error.message).toMatch(/^example.org:2222 /);
  });

  it('says what a changed host key means', () => {
    const error = contentFailure('Host key verification failed.\n', 128, ssh);
    expect(error).toMatchObject({
      code: 'failed_precondition',
      message: expect.stringMatching(/another host key.*ssh-keygen -R/),
    });
  });

  it('is tried again when the network was at fault, and not otherwise', () => {
    expect(contentFailure('fatal: Could not resolve host: example.org', 128, remote).code).toBe(
      'unavailable',
    );
    expect(contentFailure('fatal: Remote branch x not found', 128, remote).code).toBe('failed_precondition');
  });

  it.each([
    [
      "fatal: repository 'https://example.org/p/' not found",
      'not_found',
      'There is no git repository at https://example.org/p. ',
    ],
    [
      'fatal: unable to access: Operation too slow. Less than 1 bytes/sec transferred',
      'failed_precondition',
      'example.org accepted the connection and then sent nothing for a minute. ',
    ],
  ])('%s: says what that means', (said, code, message) => {
    const error = contentFailure(said, 128, remote);
    expect(error.code).toBe(code);
    expect(error.message.startsWith(message), error.message).toBe(true);
    expect(error.message).toContain(said);
  });

  it('loses credentials in any spelling', () => {
    expect(withoutCredentials('https://a:b@host/x and hunter2', remote)).toBe('https://host/x and ***');
  });
});
