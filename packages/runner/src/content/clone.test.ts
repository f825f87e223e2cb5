import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cloneOf, copyCommand, sourceMount, type ContentCommand } from './clone.ts';
import { contentFailure } from './failure.ts';
import { parseRemote } from './remote.ts';
import type { CloneTarget, ContentSource } from './source.ts';
import { missingText, submodulesIn } from './submodules.ts';

let folder = '';
let bare = '';
let target = '';
let firstCommit = '';

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const quiet = { stdio: 'pipe', encoding: 'utf8' } as const;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atelier-clone-'));
  bare = join(folder, 'source.git');
  target = join(folder, 'target');
  const work = join(folder, 'work');
  mkdirSync(target);
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...words], {
      cwd: work,
      ...quiet,
    }).trim();
  execFileSync('git', ['init', '-q', '-b', 'main', work], quiet);
  writeFileSync(join(work, 'file'), 'one');
  git('add', '.');
  git('commit', '-qm', 'one');
  firstCommit = git('rev-parse', 'HEAD');
  git('tag', 'v1');
  git('checkout', '-qb', 'feature');
  writeFileSync(join(work, 'file'), 'feature');
  git('commit', '-qam', 'feature');
  git('checkout', '-q', 'main');
  writeFileSync(join(work, 'file'), 'two');
  git('commit', '-qam', 'two');
  execFileSync('git', ['clone', '-q', '--bare', work, bare], quiet);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a command here, with the mounted remote found where it is. Gives what it said on its errors. */
function run({ arguments: [program = '', ...words], environment }: ContentCommand): Ended {
  const mounted = `url.file://${sourceMount}.insteadOf`;
  const moved = Object.entries(environment).map(([name, value]) => [
    name,
    value === mounted ? `url.file://${bare}.insteadOf` : value,
  ]);
  const { status, stdout, stderr } = spawnSync(program, words, {
    cwd: target,
    env: { PATH: process.env['PATH'], ...Object.fromEntries(moved) },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

function runAll(commands: readonly ContentCommand[]): void {
  for (const command of commands) {
    const { status, stderr } = run(command);
    if (command.optional !== true) expect(status, stderr).toBe(0);
  }
}

type GitSource = Extract<ContentSource, { kind: 'git' }>;

function gitSource(url: string, more: Partial<GitSource> = {}): GitSource {
  const remote = parseRemote(url);
  return { kind: 'git', remote, upstreamUrl: undefined, target: { kind: 'head' }, folder: 'source', ...more };
}

const nobody = { gitUsername: '', gitEmail: '' };
const nothingSeen = { hostFolder: undefined, sshKeys: undefined };

/** Clones the bare repository, as if it stood elsewhere on the machine; gives the warning about submodules. */
function clone(cloneTarget: CloneTarget, more: Partial<GitSource> = {}): string {
  const source = gitSource('file:///srv/link.git', { target: cloneTarget, ...more });
  const author = { gitUsername: 'Some Body', gitEmail: 'some@body' };
  const made = cloneOf(source, author, { hostFolder: '/srv/source.git', sshKeys: undefined });
  runAll(made.commands);
  const missing = submodulesIn(run(made.listSubmodules).stdout).flatMap((submodule) => {
    const { status, stderr } = run(made.fetchSubmodule(submodule));
    return status === 0 ? [] : [{ path: submodule.path, stderr }];
  });
  return missingText(missing, source.remote);
}

const inTarget = (...words: string[]): string => execFileSync('git', ['-C', target, ...words], quiet).trim();

describe('a clone', () => {
  it('of the head names its remotes and its author, and no credential', () => {
    clone({ kind: 'head' }, { upstreamUrl: 'https://example.org/up.git' });
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe('two');
    expect(inTarget('remote', 'get-url', 'origin')).toBe('file:///srv/link.git');
    expect(inTarget('remote', 'get-url', 'upstream')).toBe('https://example.org/up.git');
    expect(inTarget('config', '--local', 'user.name')).toBe('Some Body');
    expect(readFileSync(join(target, '.git/config'), 'utf8')).not.toMatch(/helper|safe/);
  });

  it.each([
    [{ kind: 'branch', name: 'feature' } as const, 'feature', 'feature'],
    [{ kind: 'local-branch', name: 'mine' } as const, 'two', 'mine'],
    [{ kind: 'tag', name: 'v1' } as const, 'one', 'HEAD'],
  ])('of %j has its files and its branch', (what, text, branch) => {
    clone(what);
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe(text);
    expect(inTarget('rev-parse', '--abbrev-ref', 'HEAD')).toBe(branch);
  });

  it('of a commit has that commit', () => {
    clone({ kind: 'commit', name: firstCommit });
    expect(inTarget('rev-parse', 'HEAD')).toBe(firstCommit);
  });

  it('gives a credential to its own host only, and in the environment only', () => {
    const source = gitSource('https://somebody:hunter2@example.org/p');
    const { commands } = cloneOf(source, nobody, nothingSeen);
    expect(JSON.stringify(commands.map((command) => command.arguments))).not.toContain('hunter2');
    const ask = (host: string): string => {
      try {
        return execFileSync('git', ['credential', 'fill'], {
          input: `protocol=https\nhost=${host}\n\n`,
          env: { PATH: process.env['PATH'], ...commands[0]?.environment },
          ...quiet,
        });
      } catch {
        return '';
      }
    };
    expect(ask('example.org')).toContain('password=hunter2');
    expect(ask('example.com')).not.toContain('hunter2');
  });
});

describe('submodules of a clone', () => {
  /** Commits submodules by their URLs; each is called after its place in the list. */
  function commitSubmodules(urls: readonly string[]): void {
    const work = join(folder, 'work');
    const library = join(folder, 'library');
    const git = (cwd: string, ...words: string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...words], { cwd, ...quiet }).trim();
    execFileSync('git', ['init', '-q', '-b', 'main', library], quiet);
    writeFileSync(join(library, 'library.txt'), 'of the submodule');
    git(library, 'add', '.');
    git(library, 'commit', '-qm', 'library');
    const commit = git(library, 'rev-parse', 'HEAD');
    // Once below the remote's own folder, and once beside it.
    for (const place of [join(bare, 'library.git'), join(folder, 'library.git')])
      execFileSync('git', ['clone', '-q', '--bare', library, place], quiet);
    const modules = urls.map((url, index) => `[submodule "m${index}"]\n\tpath = m${index}\n\turl = ${url}\n`);
    writeFileSync(join(work, '.gitmodules'), modules.join(''));
    git(work, 'add', '.');
    for (const index of urls.keys()) {
      if (urls[index] !== 'old')
        git(work, 'update-index', '--add', '--cacheinfo', `160000,${commit},m${index}`);
    }
    git(work, 'commit', '-qm', 'submodules');
    git(work, 'push', '-q', bare, 'main');
  }

  it('below the folder of a file remote are fetched, by whatever name they have there', () => {
    const names = ['./library.git', '/srv/link.git/library.git', 'file:///srv/source.git/library.git', 'old'];
    commitSubmodules(names);
    expect(clone({ kind: 'head' })).toBe('');
    for (const place of ['m0', 'm1', 'm2'])
      expect(readFileSync(join(target, place, 'library.txt'), 'utf8')).toBe('of the submodule');
    expect(readFileSync(join(target, '.git/config'), 'utf8')).not.toContain(sourceMount);
    expect(execFileSync('git', ['-C', join(target, 'm0'), 'remote', 'get-url', 'origin'], quiet).trim()).toBe(
      'file:///srv/link.git/library.git',
    );
  });

  it('that cannot be fetched are named, and the others are there', () => {
    commitSubmodules([
      '/srv/elsewhere',
      './library.git',
      '../library.git',
      '--upload-pack=x',
      'ext::sh -c x',
    ]);
    const warning = clone({ kind: 'head' });
    expect(warning.split('\n')).toEqual([
      expect.stringMatching(/^The submodule m0 could not be fetched: .*\/srv\/elsewhere/),
      expect.stringMatching(/^The submodule m2 could not be fetched: .*\/srv\/library.git/),
      expect.stringMatching(/^The submodule m3 could not be fetched: /),
      expect.stringMatching(/^The submodule m4 could not be fetched: /),
    ]);
    expect(readFileSync(join(target, 'm1/library.txt'), 'utf8')).toBe('of the submodule');
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe('two');
  });
});

describe('a server that accepts and never answers', () => {
  it('ends the clone with a reason', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const source = gitSource(`http://127.0.0.1:${port}/p`);
      const [command] = cloneOf(source, nobody, nothingSeen).commands;
      const { arguments: [program = '', ...words] = [], environment = {} } = command ?? {};
      expect(Number(environment['GIT_HTTP_LOW_SPEED_TIME'])).toBeLessThanOrEqual(60);
      const git = spawn(program, words, {
        cwd: target,
        env: { PATH: process.env['PATH'], ...environment, GIT_HTTP_LOW_SPEED_TIME: '1' },
      });
      let said = '';
      git.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
      const [code] = (await once(git, 'close')) as [number];
      expect(contentFailure(said, code, source.remote)).toMatchObject({
        code: 'failed_precondition',
        message: expect.stringMatching(/^127\.0\.0\.1:\d+ accepted the connection and then sent nothing/),
      });
    } finally {
      server.close();
    }
  });
});

describe('a copy of a folder', () => {
  it('has everything but the home, and keeps modes and links', () => {
    const from = join(folder, 'folder with space');
    mkdirSync(join(from, 'home/inner'), { recursive: true });
    writeFileSync(join(from, 'home/inner/secret'), 'x');
    mkdirSync(join(from, 'sub/home'), { recursive: true });
    writeFileSync(join(from, 'sub/home/kept'), 'x');
    writeFileSync(join(from, '.gitignore'), 'ignored');
    writeFileSync(join(from, 'ignored'), 'x');
    writeFileSync(join(from, 'run'), '#!/bin/sh\n', { mode: 0o755 });
    execFileSync('ln', ['-s', 'run', join(from, 'link')]);
    const { arguments: words, environment } = copyCommand('home');
    const moved = words.map((word) => word.replaceAll(sourceMount, `'${from}'`));
    runAll([{ arguments: moved, environment }]);
    expect(existsSync(join(target, 'home'))).toBe(false);
    expect(existsSync(join(target, 'sub/home/kept'))).toBe(true);
    expect(existsSync(join(target, 'ignored'))).toBe(true);
    expect(execFileSync('stat', ['-c', '%a %N', join(target, 'run'), join(target, 'link')], quiet)).toMatch(
      /755 .*\n.*link.* -> .*run/,
    );
  });
});
