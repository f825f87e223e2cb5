import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cloneCommands, copyCommand, sourceMount, type ContentCommand } from './clone.ts';
import { parseRemote } from './remote.ts';
import type { CloneTarget, ContentSource } from './source.ts';

let folder = '';
let bare = '';
let target = '';
let firstCommit = '';

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

/** Runs the commands here, with the mounted remote found where it is. */
function run(commands: readonly ContentCommand[]): void {
  for (const {
    arguments: [program = '', ...words],
    environment,
    optional,
  } of commands) {
    const count = Number(environment['GIT_CONFIG_COUNT'] ?? 0);
    const moved = {
      GIT_CONFIG_COUNT: String(count + 1),
      [`GIT_CONFIG_KEY_${count}`]: `url.file://${bare}.insteadOf`,
      [`GIT_CONFIG_VALUE_${count}`]: `file://${sourceMount}`,
    };
    try {
      execFileSync(program, words, {
        cwd: target,
        env: { PATH: process.env['PATH'], ...environment, ...moved },
        ...quiet,
      });
    } catch (error) {
      if (optional !== true) throw error;
    }
  }
}

function clone(cloneTarget: CloneTarget, more: Partial<Extract<ContentSource, { kind: 'git' }>> = {}): void {
  const remote = parseRemote('file:///srv/source.git');
  const source = {
    kind: 'git',
    remote,
    upstreamUrl: undefined,
    target: cloneTarget,
    folder: 'source',
    ...more,
  } as const;
  run(cloneCommands(source, { gitUsername: 'Some Body', gitEmail: 'some@body' }));
}

const inTarget = (...words: string[]): string => execFileSync('git', ['-C', target, ...words], quiet).trim();

describe('a clone', () => {
  it('of the head names its remotes and its author, and no credential', () => {
    clone({ kind: 'head' }, { upstreamUrl: 'https://example.org/up.git' });
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe('two');
    expect(inTarget('remote', 'get-url', 'origin')).toBe('file:///srv/source.git');
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
    const remote = parseRemote('https://somebody:hunter2@example.org/p');
    const source = {
      kind: 'git',
      remote,
      upstreamUrl: undefined,
      target: { kind: 'head' },
      folder: 'p',
    } as const;
    const commands = cloneCommands(source, { gitUsername: '', gitEmail: '' });
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
    run([{ arguments: moved, environment }]);
    expect(existsSync(join(target, 'home'))).toBe(false);
    expect(existsSync(join(target, 'sub/home/kept'))).toBe(true);
    expect(existsSync(join(target, 'ignored'))).toBe(true);
    expect(execFileSync('stat', ['-c', '%a %N', join(target, 'run'), join(target, 'link')], quiet)).toMatch(
      /755 .*\n.*link.* -> .*run/,
    );
  });
});
