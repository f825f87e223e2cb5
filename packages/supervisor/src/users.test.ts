import { lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { giveOwnership } from './ownership.ts';
import { resolveUser } from './users.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'atelier-users-'));
  const passwd = [
    'root:x:0:0:root:/root:/bin/bash',
    'maker:x:1000:1001:Maker,,,:/home/maker:/usr/bin/fish',
    'half:x:',
    '# a comment',
    'big:x:4294967295:0::/:/bin/sh',
    '',
  ];
  writeFileSync(join(folder, 'passwd'), passwd.join('\n'));
  const group = [
    'root:x:0:',
    'makers:x:1001:maker',
    'docker:x:999:other,maker',
    'sudo:x:27: maker ',
    'wrong',
  ];
  writeFileSync(join(folder, 'group'), group.join('\n'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const resolved = (text: string) =>
  resolveUser({ passwdPath: join(folder, 'passwd'), groupPath: join(folder, 'group') }, text);

describe('a user', () => {
  const maker = {
    name: 'maker',
    userId: 1000,
    groupId: 1001,
    groups: [999, 27],
    home: '/home/maker',
    shell: '/usr/bin/fish',
  };

  it.each([
    ['', { name: 'root', userId: 0, groupId: 0, home: '/root', shell: '/bin/bash' }],
    ['maker', maker],
    ['1000', maker],
    ['maker:docker', { ...maker, groupId: 999, groups: [1001, 27] }],
    ['1000:5', { ...maker, groupId: 5, groups: [1001, 999, 27] }],
    ['4242', { name: '4242', userId: 4242, groupId: 0, groups: [], home: '/', shell: '' }],
  ])('%j is found', (text, user) => expect(resolved(text)).toMatchObject(user));

  it.each(['nobody-here', 'half', 'big', '4294967295', '-1', 'maker:no-such-group', '../root'])(
    '%j is refused with words',
    (text) =>
      expect(resolved(text)).toHaveProperty('failure', expect.stringMatching(/^There is no (user|group) "/)),
  );

  it('is root in an image without a passwd file', () => {
    expect(resolveUser({ passwdPath: '/no/passwd', groupPath: '/no/group' }, '')).toMatchObject({
      userId: 0,
      home: '/root',
    });
  });
});

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.log('Skipped: only root can give files away.');

describe.skipIf(!isRoot)('giving ownership', () => {
  it('reaches everything below and nothing through a link', async () => {
    const workspace = join(folder, 'workspace');
    mkdirSync(join(workspace, 'deep/er'), { recursive: true });
    writeFileSync(join(workspace, 'deep/er/file'), '');
    writeFileSync(join(folder, 'outside'), '');
    mkdirSync(join(folder, 'elsewhere'));
    writeFileSync(join(folder, 'elsewhere/file'), '');
    symlinkSync(join(folder, 'outside'), join(workspace, 'link'));
    symlinkSync(join(folder, 'elsewhere'), join(workspace, 'folder-link'));
    expect(await giveOwnership(workspace, { userId: 1000, groupId: 1001 })).toBe('');
    const ownerOf = (name: string): number => lstatSync(join(folder, name)).uid;
    const given = ['workspace', 'workspace/deep/er/file', 'workspace/link', 'workspace/folder-link'];
    expect(given.map(ownerOf)).toEqual([1000, 1000, 1000, 1000]);
    expect(['outside', 'elsewhere', 'elsewhere/file'].map(ownerOf)).toEqual([0, 0, 0]);
  });

  it('of what has gone is no failure', async () => {
    expect(await giveOwnership('/no/such/folder', { userId: 1000, groupId: 1001 })).toBe('');
  });
});
