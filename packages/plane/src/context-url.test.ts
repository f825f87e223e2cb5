import { GitInitializer_CloneTargetMode as Mode } from '@atelier/api/gitpod/environment';
import { describe, expect, it } from 'vitest';
import { parseContextUrl, withoutSecrets } from './context-url.ts';

const host = 'https://example.test';

describe('a context URL', () => {
  it.each<[string, string, string, string, Mode, string]>([
    [`${host}/team/app`, `${host}/team/app`, 'team', 'app', Mode.REMOTE_HEAD, ''],
    [`${host}/team/app.git`, `${host}/team/app.git`, 'team', 'app', Mode.REMOTE_HEAD, ''],
    [`${host}/a/b/app`, `${host}/a/b/app`, 'a/b', 'app', Mode.REMOTE_HEAD, ''],
    [`${host}/team/app/tree/main`, `${host}/team/app.git`, 'team', 'app', Mode.REMOTE_BRANCH, 'main'],
    [`${host}/team/app/tree/a/b%20c`, `${host}/team/app.git`, 'team', 'app', Mode.REMOTE_BRANCH, 'a/b c'],
    [`${host}/a/b/app/-/tree/main`, `${host}/a/b/app.git`, 'a/b', 'app', Mode.REMOTE_BRANCH, 'main'],
    [`${host}/team/app/commit/abc`, `${host}/team/app.git`, 'team', 'app', Mode.REMOTE_COMMIT, 'abc'],
    [`${host}/team/app/releases/tag/v1`, `${host}/team/app.git`, 'team', 'app', Mode.REMOTE_TAG, 'v1'],
    [
      'ssh://git@example.test/team/app.git',
      'ssh://git@example.test/team/app.git',
      'team',
      'app',
      Mode.REMOTE_HEAD,
      '',
    ],
    [
      'https://me:x@example.test/team/app',
      'https://me:x@example.test/team/app',
      'team',
      'app',
      Mode.REMOTE_HEAD,
      '',
    ],
    ['http://127.0.0.1:8080/app.git', 'http://127.0.0.1:8080/app.git', '', 'app', Mode.REMOTE_HEAD, ''],
    ['file:///home/me/app', 'file:///home/me/app', '', 'app', Mode.REMOTE_HEAD, ''],
    ['file:///srv/git/app.git', 'file:///srv/git/app.git', '', 'app', Mode.REMOTE_HEAD, ''],
  ])('%s is understood', (url, cloneUrl, owner, repository, targetMode, target) => {
    expect(parseContextUrl(url)).toMatchObject({ cloneUrl, owner, repository, targetMode, target });
  });

  it.each([
    ['', '"" is not a repository: give an https, ssh or file URL'],
    ['guestbook', '"guestbook" is not a repository: give an https, ssh or file URL'],
    ['javascript:alert(1)', '"javascript:alert(1)" is not a repository: give an https, ssh or file URL'],
    ['ext::sh -c true', '"ext::sh -c true" is not a repository: give an https, ssh or file URL'],
    ['https://me:secret@example.test/', 'https://example.test/ names no repository'],
    ['file:///', 'a file URL must name a folder of the runner: file:///folder'],
    ['file://elsewhere/app', 'a file URL must name a folder of the runner: file:///folder'],
    ['file:///%ff', 'the URL has a percent sign before bytes that are no text'],
    [`${host}/team/app/tree/%ff`, 'the URL has a percent sign before bytes that are no text'],
  ])('%s is refused', (url, message) => {
    expect(() => parseContextUrl(url)).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message }),
    );
  });

  it('is shown without its secrets', () => {
    expect(withoutSecrets('https://me:secret@example.test/a')).toBe('https://example.test/a');
    expect(withoutSecrets('git@example.test:a')).toBe('git@example.test:a');
    expect(withoutSecrets('https://me:a@b@example.test/a')).toBe('https://example.test/a');
  });
});
