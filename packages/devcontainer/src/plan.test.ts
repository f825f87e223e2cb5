import { expect, test } from 'vitest';
import type { DevContainerConfiguration } from './configuration.ts';
import { chooseConfigurationPath, discoverConfigurationPaths } from './discover.ts';
import { planImage, type ImagePlan } from './image.ts';
import { planLifecycle } from './lifecycle.ts';
import { containerEnvironment, remoteEnvironment, resolveUsers } from './user.ts';
import { planPorts, planWorkspace } from './workspace.ts';

const all: DevContainerConfiguration = {
  initializeCommand: 'i',
  onCreateCommand: ['make', 'a b'],
  updateContentCommand: { one: 'o', two: ['t', 'u'], none: '' },
  postCreateCommand: '',
  postStartCommand: [],
  postAttachCommand: 'z',
};

test('life cycle: all three forms at the first start', () => {
  const once = 'session';
  expect(planLifecycle({ ...all, postStartCommand: 's' }, { firstStart: true })).toEqual({
    waitFor: 'updateContentCommand',
    steps: [
      {
        name: 'initializeCommand',
        runsIn: 'throwaway',
        once,
        awaited: true,
        parallel: [{ label: 'initializeCommand', argv: ['/bin/sh', '-c', 'i'] }],
      },
      {
        name: 'onCreateCommand',
        runsIn: 'environment',
        once,
        awaited: true,
        parallel: [{ label: 'onCreateCommand', argv: ['make', 'a b'] }],
      },
      {
        name: 'updateContentCommand',
        runsIn: 'environment',
        once,
        awaited: true,
        parallel: [
          { label: 'one', argv: ['/bin/sh', '-c', 'o'] },
          { label: 'two', argv: ['t', 'u'] },
        ],
      },
      {
        name: 'postStartCommand',
        runsIn: 'environment',
        once: 'boot',
        awaited: false,
        parallel: [{ label: 'postStartCommand', argv: ['/bin/sh', '-c', 's'] }],
      },
      {
        name: 'postAttachCommand',
        runsIn: 'environment',
        once: 'attach',
        awaited: false,
        parallel: [{ label: 'postAttachCommand', argv: ['/bin/sh', '-c', 'z'] }],
      },
    ],
  });
});

test('life cycle: a later start runs what belongs to each start; waitFor moves the line', () => {
  const configuration = {
    ...all,
    postCreateCommand: 'p',
    postStartCommand: 's',
    waitFor: 'postStartCommand',
  } as const;
  const names = (firstStart: boolean): string[] =>
    planLifecycle(configuration, { firstStart }).steps.map(({ name, awaited }) => `${name} ${awaited}`);
  expect(names(false)).toEqual(['postStartCommand true', 'postAttachCommand false']);
  expect(names(true)).toEqual([
    'initializeCommand true',
    'onCreateCommand true',
    'updateContentCommand true',
    'postCreateCommand true',
    'postStartCommand true',
    'postAttachCommand false',
  ]);
  expect(planLifecycle({}, { firstStart: true })).toEqual({ waitFor: 'updateContentCommand', steps: [] });
});

const built = {
  kind: 'build' as const,
  contextPath: '.devcontainer',
  target: '',
  args: {},
};
const images: [string, DevContainerConfiguration, string, ImagePlan][] = [
  ['none', {}, '.devcontainer.json', { kind: 'default' }],
  ['an image', { image: 'debian:12' }, '.devcontainer.json', { kind: 'reference', reference: 'debian:12' }],
  [
    'a Dockerfile beside the configuration',
    { build: { dockerfile: 'Dockerfile' } },
    '.devcontainer/devcontainer.json',
    { ...built, dockerfilePath: '.devcontainer/Dockerfile' },
  ],
  [
    'a context above, and every option',
    {
      image: 'ignored',
      build: {
        dockerfile: '../Dockerfile',
        context: '..',
        target: 'dev',
        args: { A: 'b' },
      },
    },
    '.devcontainer/devcontainer.json',
    {
      kind: 'build',
      contextPath: '.',
      dockerfilePath: 'Dockerfile',
      target: 'dev',
      args: { A: 'b' },
    },
  ],
  [
    'a configuration at the root',
    { build: { dockerfile: './docker/../Dockerfile' } },
    '.devcontainer.json',
    { ...built, contextPath: '.', dockerfilePath: 'Dockerfile' },
  ],
  [
    'the older spelling',
    { dockerFile: 'D', context: '../..' },
    '.devcontainer/go/devcontainer.json',
    { ...built, contextPath: '.', dockerfilePath: '.devcontainer/go/D' },
  ],
  [
    'paths from the workspace folder',
    { build: { dockerfile: '/w/a/D', context: '/w' } },
    '.devcontainer/devcontainer.json',
    { ...built, contextPath: '.', dockerfilePath: 'a/D' },
  ],
];

test.each(images)('image: %s', (_name, configuration, path, expected) => {
  expect(planImage(configuration, path, '/w')).toEqual(expected);
});

test.each([
  [{ dockerfile: '../../Dockerfile' }, 'build.dockerfile "../../Dockerfile"'],
  [{ dockerfile: 'D', context: '../..' }, 'build.context "../.."'],
  [{ dockerfile: 'D', context: 'a/../../../b' }, 'build.context "a/../../../b"'],
  [{ dockerfile: '/etc/passwd' }, 'build.dockerfile "/etc/passwd"'],
  [{ dockerfile: '/w/../etc/passwd' }, 'build.dockerfile "/w/../etc/passwd"'],
  [{ dockerfile: '/world/D' }, 'build.dockerfile "/world/D"'],
  [{ dockerfile: '', context: '..' }, undefined],
])('image: a path that leaves the repository: %j', (build, named) => {
  const act = (): ImagePlan => planImage({ build }, '.devcontainer/devcontainer.json', '/w');
  if (named === undefined) return expect(act()).toMatchObject({ dockerfilePath: '.devcontainer' });
  const message = `.devcontainer/devcontainer.json: ${named} leaves the repository. Builds see the repository only: name a path in it, relative to the folder of .devcontainer/devcontainer.json.`;
  expect(act).toThrow(expect.objectContaining({ code: 'invalid_argument', message }));
});

test('discovery: the order of places, and the choice', () => {
  const files = [
    'a/b',
    '.devcontainer/go/devcontainer.json',
    '.devcontainer.json',
    '.devcontainer/c/devcontainer.json',
  ];
  expect(discoverConfigurationPaths(files)).toEqual([
    '.devcontainer.json',
    '.devcontainer/c/devcontainer.json',
    '.devcontainer/go/devcontainer.json',
  ]);
  expect(
    discoverConfigurationPaths(['x/.devcontainer/devcontainer.json', '.devcontainer/a/b/devcontainer.json']),
  ).toEqual([]);
  expect(discoverConfigurationPaths(files, './ci/dev.json')).toEqual(['ci/dev.json']);
  expect(chooseConfigurationPath([])).toBeUndefined();
  expect(chooseConfigurationPath(files)).toBe('.devcontainer.json');
  expect(chooseConfigurationPath([...files, '.devcontainer/devcontainer.json'])).toBe(
    '.devcontainer/devcontainer.json',
  );
  expect(chooseConfigurationPath(['.devcontainer/go/devcontainer.json'])).toBe(
    '.devcontainer/go/devcontainer.json',
  );
  expect(chooseConfigurationPath(files, '.devcontainer/go/devcontainer.json')).toBe(
    '.devcontainer/go/devcontainer.json',
  );
});

test('discovery: several and none chosen, or one that is not there', () => {
  const several = ['.devcontainer/b/devcontainer.json', '.devcontainer/a/devcontainer.json'];
  expect(() => chooseConfigurationPath(several)).toThrow(
    expect.objectContaining({
      code: 'failed_precondition',
      message:
        'The repository has 2 Dev Container configurations and none was chosen: .devcontainer/a/devcontainer.json, .devcontainer/b/devcontainer.json. Name one of these paths.',
    }),
  );
  expect(() => chooseConfigurationPath(['.devcontainer.json'], 'x.json')).toThrow(
    expect.objectContaining({
      code: 'not_found',
      message: 'The repository has no Dev Container configuration x.json. It has: .devcontainer.json.',
    }),
  );
  expect(() => chooseConfigurationPath([], 'x.json')).toThrow('It has none at all');
});

const home = '/srv/app';
test.each([
  ['the default', {}, '/workspaces/app', '/workspaces/app', '.'],
  [
    'another folder',
    { workspaceFolder: '/workspaces/app/sub' },
    '/workspaces/app/sub',
    '/workspaces/app',
    '.',
  ],
  [
    'a mount',
    { workspaceFolder: '/src', workspaceMount: `source=${home},target=/src,type=bind` },
    '/src',
    '/src',
    '.',
  ],
  [
    'a part of it',
    { workspaceFolder: '/src', workspaceMount: `type=bind,src=${home}/a/b/,dst=/src` },
    '/src',
    '/src',
    'a/b',
  ],
  [
    'the folder around it',
    { workspaceFolder: '/all', workspaceMount: `type=bind,source=${home}/..,destination=/all` },
    '/all',
    '/all/app',
    '.',
  ],
])('workspace: %s', (_name, configuration, folder, mountTarget, mountSubfolder) => {
  expect(planWorkspace(configuration, home)).toEqual({ folder, mountTarget, mountSubfolder, warnings: [] });
});

test.each([
  'source=data,target=/src,type=volume',
  'source=/etc,target=/src,type=bind',
  'source=/srv/application,target=/src,type=bind',
  `source=${home},target=/src`,
  'target=/src,type=bind',
])('workspace: %s is not made, with a warning', (workspaceMount) => {
  const plan = planWorkspace({ workspaceFolder: '/src', workspaceMount }, home);
  expect(plan).toMatchObject({ folder: '/src', mountTarget: '/src', mountSubfolder: '.' });
  expect(plan.warnings).toEqual([
    `workspaceMount ${JSON.stringify(workspaceMount)} is not supported: only a bind mount of the repository is. The repository is mounted at /src.`,
  ]);
});

test('workspace: an empty mount puts the repository at the folder', () => {
  expect(planWorkspace({ workspaceFolder: '/src', workspaceMount: '' }, home)).toMatchObject({
    mountTarget: '/src',
  });
});

test('ports: each once; those of other hosts are named', () => {
  const forwardPorts = [3000, '8080', 'localhost:3000', '127.0.0.1:9', 'db:5432'];
  expect(planPorts({ forwardPorts })).toEqual({
    ports: [3000, 8080, 9],
    warnings: [
      'forwardPorts: "db:5432" is a port of another host and is not forwarded; only ports of the environment itself are.',
    ],
  });
});

test.each([
  [{}, undefined, 'root', 'root'],
  [{}, '', 'root', 'root'],
  [{}, 'node', 'node', 'node'],
  [{ containerUser: 'a' }, 'node', 'a', 'a'],
  [{ remoteUser: 'b' }, 'node', 'node', 'b'],
  [{ containerUser: 'a', remoteUser: 'b' }, 'node', 'a', 'b'],
  [{ containerUser: '', remoteUser: '' }, '1000:1000', '1000:1000', '1000:1000'],
])('users: %j in an image of %j', (configuration, imageUser, containerUser, remoteUser) => {
  expect(resolveUsers(configuration, imageUser)).toEqual({ containerUser, remoteUser });
});

test('environment: the image, then containerEnv, then remoteEnv; null takes away', () => {
  const configuration = { containerEnv: { A: '1', B: '2' }, remoteEnv: { B: '3', C: null, D: null } };
  const container = containerEnvironment(configuration, { A: '0', C: 'c' });
  expect(container).toEqual({ A: '1', B: '2', C: 'c' });
  expect(remoteEnvironment(configuration, container)).toEqual({ A: '1', B: '3' });
});
