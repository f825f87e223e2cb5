import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  EnvironmentService,
  GitInitializer_CloneTargetMode as Target,
} from '@atelier/api/gitpod/environment';
import type { EnvironmentView } from '@atelier/sdk';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeAtelier, type Atelier } from './atelier.ts';
import { RemoteHost } from './remote-host.ts';
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
    const work = makeRepository(join(folder, 'work'), { 'text.txt': 'one\n' });
    first = git(work, 'rev-parse', 'HEAD');
    git(work, 'tag', 'v1');
    git(work, 'checkout', '--quiet', '-b', 'feature/two');
    writeFiles(work, { 'text.txt': 'two\n' });
    git(work, 'commit', '--quiet', '--all', '--message=two');
    git(work, 'checkout', '--quiet', 'main');
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

  it('is the head of a remote, as up makes it', async () => {
    const { code, stderr } = await atelier().run('up', remote);
    expect(code, stderr).toBe(0);
    const said = await atelier().inside('remote', 'cat text.txt; git remote get-url origin');
    expect(said).toBe(`three\n${remote}`);
  });

  it('goes on without a submodule that stands elsewhere on the machine, and says so', async () => {
    const { folder } = atelier();
    const library = makeRepository(join(folder, 'library'), { 'library.txt': 'of the submodule\n' });
    const work = makeRepository(join(folder, 'parent'), { 'text.txt': 'text\n' });
    git(work, 'submodule', '--quiet', 'add', library, 'vendor/library');
    git(work, 'commit', '--quiet', '--all', '--message=two');
    git(folder, 'clone', '--quiet', '--bare', library, join(work, 'inner.git'));
    git(work, 'submodule', '--quiet', 'add', './inner.git', 'vendor/inner');
    git(work, 'commit', '--quiet', '--all', '--message=three');
    git(folder, 'clone', '--quiet', '--bare', work, join(folder, 'parent.git'));
    git(folder, 'clone', '--quiet', '--bare', library, join(folder, 'parent.git/inner.git'));
    const { code, stdout, stderr } = await atelier().run('up', `file://${folder}/parent.git`);
    expect(code, stderr).toBe(0);
    const named = `The submodule vendor/library could not be fetched: fatal: '${library}' does not appear to be a git repository. Of this machine a clone sees the folder of its remote only.`;
    expect((await atelier().status('parent')).status?.content?.warningMessage).toBe(named);
    expect(stdout + stderr).toContain('The submodule vendor/library could not be fetched');
    expect(await atelier().ok('logs', 'parent', 'content')).toContain(named);
    const said = await atelier().inside('parent', 'cat text.txt vendor/inner/library.txt; ls vendor/library');
    expect(said).toBe('text\nof the submodule');
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
      execFileSync('ps', ['axww', '-o', 'args'], { encoding: 'utf8' }).replaceAll(
        /^.*main\.m?[jt]s up .*$/gm,
        '',
      ),
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

  remotesOutside(atelier);
});

/** Remotes on the network: by http with and without a credential, and by ssh with the keys of the daemon's user. */
function remotesOutside(atelier: () => Atelier): void {
  const why = existsSync('/usr/sbin/sshd') ? undefined : 'no ssh server is installed';
  const password = 'hunter3-secret';
  let host: RemoteHost;
  let served: string;
  let sshFolder: string;
  let sshUrl: string;

  /** What the user has in the ssh folder; the daemon looks anew for each clone. */
  function haveKeys(files: Readonly<Record<string, string>>): void {
    rmSync(sshFolder, { recursive: true, force: true });
    mkdirSync(sshFolder, { recursive: true, mode: 0o700 });
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(sshFolder, name), text, { mode: 0o600 });
  }

  /** Whether a text stands anywhere in the home: database, ledger, logs and disks. */
  function isKept(text: string): boolean {
    try {
      execFileSync('grep', [
        '--recursive',
        '--quiet',
        '--text',
        '--fixed-strings',
        '--',
        text,
        atelier().home,
      ]);
      return true;
    } catch (error) {
      if ((error as { status?: unknown }).status === 1) return false;
      throw error;
    }
  }

  const knownHost = (): string => `${host.address} ${readFileSync(join(served, 'host-key.pub'), 'utf8')}`;

  const up = async (url: string): Promise<void> => {
    const { code, stderr } = await atelier().run('up', url);
    expect(code, stderr).toBe(0);
  };

  describe.skipIf(why !== undefined)(why === undefined ? 'from outside' : `from outside (${why})`, () => {
    beforeAll(async () => {
      const { folder } = atelier();
      sshFolder = join(folder, 'user/.ssh');
      served = join(folder, 'served');
      host = new RemoteHost();
      const library = makeRepository(join(folder, 'outside-library'), {
        'library.txt': 'of the submodule\n',
      });
      for (const place of ['public', 'private']) {
        const work = makeRepository(join(folder, 'outside', place), { 'text.txt': `${place}\n` });
        git(work, 'submodule', '--quiet', 'add', library, 'library');
        git(work, 'config', '--file=.gitmodules', 'submodule.library.url', '../library.git');
        git(work, 'commit', '--quiet', '--all', '--message=two');
        for (const [name, repository] of Object.entries({ project: work, library })) {
          const bare = join(served, place, `${name}.git`);
          git(folder, 'clone', '--quiet', '--bare', repository, bare);
          git(bare, 'update-server-info');
        }
      }
      await host.serveHttp(served, `somebody:${password}`);
      await host.serveSsh(served, join(served, 'user-key'));
      sshUrl = `ssh://root@${host.address}${served}/public/project.git`;
      await atelier().ok('daemon', 'stop');
      const variables = { HOME: join(folder, 'user') };
      const { code, stderr } = await atelier().begin(['daemon', 'start'], { input: '', variables }).ended;
      expect(code, stderr).toBe(0);
    });
    afterAll(() => host.close());

    it('is a clone by http, with its submodules', async () => {
      const url = `http://${host.address}/public/project.git`;
      await up(url);
      const said = await atelier().inside(
        'project',
        'cat text.txt library/library.txt; git remote get-url origin; git -C library remote get-url origin',
      );
      const library = `http://${host.address}/public/library.git`;
      expect(said.split('\n')).toEqual(['public', 'of the submodule', url, library]);
      expect((await atelier().status('project')).status?.content?.warningMessage).toBe('');
    });

    it('is a clone by http with a credential, which is kept nowhere', async () => {
      await up(`http://somebody:${password}@${host.address}/private/project.git`);
      const said = await atelier().inside(
        'project',
        'cat text.txt library/library.txt; cat .git/config .git/modules/library/config',
      );
      expect(said).toMatch(/^private\nof the submodule\n/);
      expect(said).not.toMatch(/somebody|helper/);
      const { spec } = await atelier().status('project');
      const url = `http://${host.address}/private/project.git`;
      expect(spec?.content?.initializer?.specs[0]?.spec).toMatchObject({ value: { url } });
      expect(spec?.content?.sealedCredentials).toHaveLength(1);
      expect(isKept(url)).toBe(true);
      expect(isKept(password)).toBe(false);
    });

    it('says so when a credential is wrong, and does not show it', async () => {
      const wrong = 'wrong-secret';
      const { code, stdout, stderr } = await atelier().run(
        'up',
        `http://somebody:${wrong}@${host.address}/private/project.git`,
      );
      expect(code).not.toBe(0);
      expect(stderr).toContain(`${host.address} wants a credential for this repository`);
      expect(stdout + stderr).not.toContain(wrong);
      expect(isKept(wrong)).toBe(false);
    });

    it('is a clone by ssh with a key of the user, which only the clone sees', async () => {
      const key = readFileSync(join(served, 'user-key'), 'utf8');
      haveKeys({ id_ed25519: key, known_hosts: knownHost() });
      await up(sshUrl);
      const said = await atelier().inside(
        'project',
        'cat text.txt library/library.txt; ls -A /mnt ~/.ssh 2>/dev/null; cat .git/config',
      );
      expect(said).toMatch(/^public\nof the submodule\n/);
      expect(said).not.toMatch(/id_ed25519|sshCommand|atelier-ssh/);
      expect((await atelier().status('project')).status?.content?.warningMessage).toBe('');
      // The second line of a private key holds its own part of it.
      expect(isKept(key.split('\n')[3] ?? expect.unreachable())).toBe(false);
    });

    it.each<[string, () => Readonly<Record<string, string>>, RegExp]>([
      ['no key', () => ({}), /has none in ~\/\.ssh that can be used/],
      [
        'a key that is not known there',
        () => ({ id_ed25519: 'host-key' }),
        /accepts none of the ssh keys.*id_ed25519/,
      ],
      [
        'another host key',
        () => ({ id_ed25519: 'user-key', known_hosts: 'user-key.pub' }),
        /shows another host key/,
      ],
    ])('by ssh says what to do when there is %s', async (_what, files, message) => {
      haveKeys({});
      for (const [name, source] of Object.entries(files()))
        copyFileSync(join(served, source), join(sshFolder, name));
      const known = join(sshFolder, 'known_hosts');
      if ('known_hosts' in files()) writeFileSync(known, `${host.address} ${readFileSync(known, 'utf8')}`);
      const { code, stderr } = await atelier().run('up', sshUrl);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(message);
    });
  });
}
