import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { devContainerId, substitute, type SubstitutionContext } from './substitute.ts';

const context: SubstitutionContext = {
  localWorkspaceFolder: '/srv/my-app',
  localEnv: { USER: 'ann', EMPTY: '', NESTED: '${localEnv:USER}' },
};
const inside: SubstitutionContext = {
  ...context,
  containerEnv: { PATH: '/bin', HOME: '/root' },
  devContainerId: 'abc',
};

const rows: [string, string, SubstitutionContext][] = [
  ['${localEnv:USER}', 'ann', context],
  ['${env:USER}', 'ann', context],
  ['${localEnv:USER:bob}', 'ann', context],
  ['${localEnv:NOBODY:bob}', 'bob', context],
  ['${localEnv:NOBODY:http://x:1/}', 'http://x:1/', context],
  ['${localEnv:NOBODY:}', '', context],
  ['${localEnv:EMPTY:bob}', '', context],
  ['${localEnv:toString:own}', 'own', context],
  ['${localEnv:NESTED}', '${localEnv:USER}', context],
  ['${localEnv:USER}-${localEnv:USER}', 'ann-ann', context],
  ['${localWorkspaceFolder}/x', '/srv/my-app/x', context],
  ['${localWorkspaceFolderBasename}', 'my-app', context],
  ['${containerWorkspaceFolder}', '/workspaces/my-app', context],
  ['${containerWorkspaceFolderBasename}', 'my-app', context],
  ['${containerEnv:PATH}', '${containerEnv:PATH}', context],
  ['${containerEnv:PATH:x}', '${containerEnv:PATH:x}', context],
  ['/x:${containerEnv:PATH}', '/x:/bin', inside],
  ['${containerEnv:NONE:x}', 'x', inside],
  ['${containerEnv:NONE}', '', inside],
  ['${devcontainerId}', '${devcontainerId}', context],
  ['v-${devcontainerId}', 'v-abc', inside],
  ['${HOME} ${x:-y} $(z) ${templateOption:a}', '${HOME} ${x:-y} $(z) ${templateOption:a}', inside],
  ['${env} ${localEnv}', '${env} ${localEnv}', inside],
  ['${LOCALENV:USER}', '${LOCALENV:USER}', context],
  ['${localEnv:USER', '${localEnv:USER', context],
];

test.each(rows)('%s', (written, expected, given) => {
  expect(substitute({ postCreateCommand: written }, given).configuration.postCreateCommand).toBe(expected);
});

test('every value at every depth, never a key, and the original stays', () => {
  const configuration = {
    build: {
      dockerfile: 'D',
      args: { '${localEnv:USER}': '${localEnv:USER}' },
    },
    forwardPorts: [80],
    remoteEnv: { A: '${localEnv:USER}', B: null },
    postStartCommand: { a: ['echo', '${localEnv:USER}'] },
  };
  const before = structuredClone(configuration);
  expect(substitute(configuration, context).configuration).toEqual({
    build: { dockerfile: 'D', args: { '${localEnv:USER}': 'ann' } },
    forwardPorts: [80],
    remoteEnv: { A: 'ann', B: null },
    postStartCommand: { a: ['echo', 'ann'] },
  });
  expect(configuration).toEqual(before);
});

test('the folder inside is the one of the configuration, its own variables replaced', () => {
  const configuration = {
    workspaceFolder: '/src/${localWorkspaceFolderBasename}',
    name: '${containerWorkspaceFolder} ${containerWorkspaceFolderBasename}',
  };
  expect(substitute(configuration, context).configuration).toEqual({
    workspaceFolder: '/src/my-app',
    name: '/src/my-app my-app',
  });
});

test('a variable of the machine that is not allowed is empty and named, once', () => {
  const configuration = {
    containerEnv: { A: '${localEnv:SECRET}', B: '${localEnv:SECRET}', C: '${localEnv:X:y}' },
  };
  const answer = substitute(configuration, { localWorkspaceFolder: '/w' });
  expect(answer.configuration.containerEnv).toEqual({ A: '', B: '', C: 'y' });
  expect(answer.warnings).toEqual([
    '${localEnv:SECRET} is empty: the variable SECRET of the machine is not passed on to environments; give a default (${localEnv:SECRET:value}) or set it inside.',
  ]);
});

test.each(['${localEnv:}', '${env::x}', '${containerEnv:}'])('%s names no variable', (written) => {
  expect(() => substitute({ name: written }, inside)).toThrow(
    expect.objectContaining({
      code: 'invalid_argument',
      message: expect.stringContaining('names no environment variable'),
    }),
  );
});

test('the id is of the labels alone and 52 characters long', () => {
  const sha256 = (text: string): Uint8Array => createHash('sha256').update(text).digest();
  const labels = { configurationFile: '/w/.devcontainer/devcontainer.json', localFolder: '/w' };
  const id = devContainerId(labels, sha256);
  expect(id).toMatch(/^[0-9a-v]{52}$/);
  expect(devContainerId({ ...labels }, sha256)).toBe(id);
  expect(devContainerId({ ...labels, localFolder: '/v' }, sha256)).not.toBe(id);
  expect(devContainerId(labels, () => new Uint8Array(32))).toBe('0'.repeat(52));
  expect(devContainerId(labels, () => new Uint8Array(32).fill(255))).toBe(`1${'v'.repeat(51)}`);
});
