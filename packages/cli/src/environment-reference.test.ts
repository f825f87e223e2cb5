import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contextUrlOf } from './environment-reference.ts';

let folder: string;
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'atelier-context-')));
  for (const path of [
    'repository/.git',
    'repository/deep/er',
    'repository/example/.devcontainer',
    'plain',
    'a b',
  ]) {
    mkdirSync(join(folder, path), { recursive: true });
  }
  symlinkSync(join(folder, 'repository/deep'), join(folder, 'link'));
  writeFileSync(join(folder, 'file'), '');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('contextUrlOf', () => {
  it.each([
    ['repository', 'repository'],
    ['repository/deep/er', 'repository'],
    ['repository/example', 'repository/example'],
    ['link', 'repository'],
    ['plain', 'plain'],
    ['a b', 'a b'],
  ])('of the folder %s is that of %s', (source, expected) => {
    expect(contextUrlOf(source, folder)).toBe(pathToFileURL(join(folder, expected)).href);
  });

  it.each([
    ['https://example.com/a/b', 'https://example.com/a/b'],
    ['ssh://git@example.com/a/b.git', 'ssh://git@example.com/a/b.git'],
    ['git@example.com:a/b.git', 'ssh://git@example.com/a/b.git'],
  ])('of %s is %s', (source, url) => expect(contextUrlOf(source, folder)).toBe(url));

  it('refuses what is no folder, with words', () => {
    expect(() => contextUrlOf('missing', folder)).toThrow(
      `${folder}/missing does not exist; give a folder or the URL of a repository`,
    );
    expect(() => contextUrlOf('file', folder)).toThrow(`${folder}/file is not a folder`);
  });
});
