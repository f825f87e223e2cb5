import { execFile } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findConfiguration, type RunInWorkspace } from './configuration-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atelier-configuration-'));
  mkdirSync(join(folder, '.devcontainer'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const stdoutLengthMax = 1024 * 1024;

/** Programs of this machine in the folder, bounded as those in a throw-away instance are. */
const run: RunInWorkspace = ([program = '', ...words]) =>
  new Promise((resolve, reject) => {
    execFile(program, words, { cwd: folder, maxBuffer: stdoutLengthMax }, (error, stdout) => {
      if (error?.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER')
        reject(new AtelierError('invalid_argument', 'prints too much'));
      else resolve({ exitCode: error === null ? 0 : 1, stdout });
    });
  });

const place = { folder: 'app', subfolder: '' };
const path = '.devcontainer/devcontainer.json';
const find = () => findConfiguration(run, '', place);

it('finds the file that counts, or none', async () => {
  expect(await find()).toEqual({ place, file: undefined });
  writeFileSync(join(folder, '.devcontainer.json'), '{}');
  expect((await find()).file).toEqual({ path: '.devcontainer.json', text: '{}' });
  writeFileSync(join(folder, path), '{ }');
  expect((await find()).file).toEqual({ path, text: '{ }' });
  expect(
    (await findConfiguration(run, '.devcontainer.json', { ...place, subfolder: 'sub' })).file?.path,
  ).toBe('sub/.devcontainer.json');
});

it.each<[what: string, make: (at: string) => void, why: RegExp]>([
  ['a folder', (at) => mkdirSync(at), /it is no file/],
  ['a pipe', (at) => void execFileSync('mkfifo', [at]), /it is no file/],
  ['a link to nothing', (at) => symlinkSync('/nowhere', at), /it is no file/],
  ['a link to itself', (at) => symlinkSync('devcontainer.json', at), /it is no file/],
  [
    'a file without end',
    (at) => {
      writeFileSync(at, '');
      truncateSync(at, 2 * stdoutLengthMax);
    },
    /it is far too large/,
  ],
])('refuses %s, and does not take it for nothing', async (_what, make, why) => {
  make(join(folder, path));
  await expect(find()).rejects.toMatchObject({
    code: 'invalid_argument',
    message: expect.stringMatching(why),
  });
  await expect(find()).rejects.toThrow(`${path} cannot be used: `);
});
