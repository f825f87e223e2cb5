import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  EnvironmentService,
  GitInitializer_CloneTargetMode as Target,
} from '@atelier/api/gitpod/environment';
import type { EnvironmentView } from '@atelier/sdk';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { describeAtelier } from './atelier.ts';
import { git, makeRepository, writeFiles } from './repository.ts';

/** Settled one way or the other: what the content came to. */
function contentOutcome({ environment }: EnvironmentView): { failure: string } | undefined {
  const { status } = environment ?? {};
  if (status?.failureMessage.length) return { failure: status.failureMessage.join('; ') };
  return status?.devcontainer?.remoteWorkspaceFolder && status.content?.git?.latestCommit
    ? { failure: '' }
    : undefined;
}

describeAtelier('content of an environment', (atelier) => {
  let remote: string;
  let first: string;

  beforeAll(() => {
    const { folder } = atelier();
    const library = makeRepository(join(folder, 'library'), { 'library.txt': 'of the submodule\n' });
    const work = makeRepository(join(folder, 'work'), { 'text.txt': 'one\n' });
    first = git(work, 'rev-parse', 'HEAD');
    git(work, 'tag', 'v1');
    git(work, 'checkout', '--quiet', '-b', 'feature/two');
    writeFiles(work, { 'text.txt': 'two\n' });
    git(work, 'commit', '--quiet', '--all', '--message=two');
    git(work, 'checkout', '--quiet', 'main');
    git(work, 'submodule', '--quiet', 'add', library, 'vendor/library');
    writeFiles(work, { 'text.txt': 'three\n' });
    git(work, 'commit', '--quiet', '--all', '--message=three');
    const bare = join(folder, 'remote.git');
    git(folder, 'clone', '--quiet', '--bare', work, bare);
    remote = `file://${bare}`;
  });

  afterEach(async () => {
    for (const name of await atelier().names()) await atelier().ok('delete', name);
    expect(await atelier().leftovers()).toEqual([]);
  });

  async function create(targetMode: Target, cloneTarget: string) {
    const client = await atelier().client();
    const { environment } = await client.service(EnvironmentService).createEnvironment({
      name: 'cloned',
      spec: {
        content: {
          gitUsername: 'Some Body',
          gitEmail: 'some@example.test',
          initializer: {
            specs: [{ spec: { case: 'git', value: { remoteUri: remote, targetMode, cloneTarget } } }],
          },
        },
      },
    });
    return client.environments.waitFor(environment?.id ?? '', contentOutcome);
  }

  it.each([
    ['a branch', Target.REMOTE_BRANCH, 'feature/two', 'feature/two two'],
    ['a tag', Target.REMOTE_TAG, 'v1', 'HEAD one'],
    ['a new branch', Target.LOCAL_BRANCH, 'mine', 'mine three'],
  ])('is %s of a remote', async (_what, mode, name, expected) => {
    expect(await create(mode, name)).toEqual({ failure: '' });
    const script = 'echo $(git rev-parse --abbrev-ref HEAD) $(cat text.txt)';
    expect(await atelier().inside('cloned', script)).toBe(expected);
  });

  it('is a commit of a remote, with its author', async () => {
    expect(await create(Target.REMOTE_COMMIT, first)).toEqual({ failure: '' });
    const said = await atelier().inside(
      'cloned',
      'git rev-parse HEAD; git config user.name; git config user.email; pwd',
    );
    expect(said.split('\n')).toEqual([first, 'Some Body', 'some@example.test', '/workspaces/remote']);
  });

  it.each([
    ['a branch that does not exist', Target.REMOTE_BRANCH, 'nowhere', /Remote branch nowhere not found/],
    ['a commit that does not exist', Target.REMOTE_COMMIT, 'deadbeef'.repeat(5), /deadbeef/],
  ])('says so when it is %s', async (_what, mode, name, expected) => {
    const { failure } = await create(mode, name);
    expect(failure).toMatch(expected);
    expect(await atelier().ok('ls')).toMatch(/^cloned +\w+ \(failed\)/m);
  });

  it('is the head of a remote, as up makes it, with its submodules', async () => {
    const { code, stderr } = await atelier().run('up', remote);
    expect(code, stderr).toBe(0);
    const said = await atelier().inside(
      'remote',
      'cat text.txt; git remote get-url origin; git submodule status',
    );
    expect(said).toMatch(RegExp(`^three\n${remote}\n `));
    expect(await atelier().inside('remote', 'cat vendor/library/library.txt')).toBe('of the submodule');
  });

  it('is a local folder, with what git ignores, owned by the user inside, and never Atelier itself', async () => {
    const folder = makeRepository(join(atelier().folder, 'local folder'), {
      '.gitignore': 'ignored\n',
      'run.sh': '#!/bin/sh\n',
      'sub/deep.txt': 'deep\n',
      '.devcontainer/devcontainer.json': '{ "remoteUser": "atelier" }',
    });
    writeFiles(folder, { ignored: 'kept\n', 'new.txt': 'uncommitted\n' });
    chmodSync(join(folder, 'run.sh'), 0o755);
    const { code, stderr } = await atelier().run('up', join(folder, 'sub'));
    expect(code, stderr).toBe(0);
    const [name = ''] = await atelier().names();
    const said = await atelier().inside(
      name,
      'id -un; cat ignored new.txt sub/deep.txt; stat -c "%a %U" run.sh .; git status --porcelain',
    );
    expect(said.split('\n')).toEqual([
      'atelier',
      'kept',
      'uncommitted',
      'deep',
      '755 atelier',
      '755 atelier',
      ' M run.sh',
      '?? new.txt',
    ]);
    // A copy: what happens inside stays there.
    await atelier().inside(name, 'echo inside > ignored');
    expect(readFileSync(join(folder, 'ignored'), 'utf8')).toBe('kept\n');
  });

  it('is a folder that is no repository', async () => {
    const folder = join(atelier().folder, 'plain');
    mkdirSync(folder);
    writeFiles(folder, { 'a.txt': 'a\n' });
    const { code, stderr } = await atelier().run('up', folder);
    expect(code, stderr).toBe(0);
    expect(await atelier().inside('plain', 'ls -A')).toBe('a.txt');
  });

  it('shows a credential of its URL nowhere', async () => {
    const secret = 'hunter2-secret';
    const url = `https://somebody:${secret}@git.example.invalid/team/project.git`;
    const up = atelier().begin(['up', url]);
    await expect.poll(() => atelier().ok('ls'), { timeout: 60_000 }).toMatch(/^project /m);
    await expect
      .poll(
        async () =>
          (await atelier().status('project')).status?.detail?.steps.find(({ name }) => name === 'content')
            ?.message,
        { timeout: 120_000 },
      )
      .toMatch(/git.example.invalid/);
    expect(
      execFileSync('ps', ['axww', '-o', 'args'], { encoding: 'utf8' }).replaceAll(/^.*main\.ts up .*$/gm, ''),
    ).not.toContain(secret);
    for (const arguments_ of [
      ['status', 'project'],
      ['status', 'project', '-o', 'json'],
      ['logs', 'project'],
      ['ls', '-o', 'json'],
    ]) {
      const { stdout, stderr } = await atelier().run(...arguments_);
      expect(stdout + stderr).not.toContain(secret);
    }
    expect(await atelier().ok('ls', '-o', 'json')).toContain('https://git.example.invalid/team/project.git');
    up.child.kill('SIGINT');
    const { stdout, stderr } = await up.ended;
    expect(stdout + stderr).not.toContain(secret);
    await atelier().ok('delete', 'project');
    const logs = join(atelier().home, 'daemon.log');
    expect(readFileSync(logs, 'utf8')).not.toContain(secret);
    expect(readdirSync(join(atelier().home, 'runner', 'environments'))).toEqual([]);
  });
});
