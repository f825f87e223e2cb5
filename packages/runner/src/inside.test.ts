import { StepPhase } from '@atelier/api/atelier/environment_detail';
import { DesiredEnvironmentSchema } from '@atelier/api/atelier/runner_link';
import { SupervisorStatusSchema } from '@atelier/api/atelier/supervisor';
import { EnvironmentSchema } from '@atelier/api/gitpod/environment';
import { emptyRecord } from '@atelier/reconcile';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { emptyConfiguration } from './configuration.ts';
import {
  hostnameOf,
  insideOf,
  lifecycleDoneOf,
  lifecycleFacts,
  limitsOf,
  supervisorSpecOf,
} from './inside.ts';

const image = {
  user: 'node',
  environment: ['PATH=/usr/bin', 'EMPTY='],
  workingDirectory: '/',
  labels: {},
};

const environmentId = '0190aaaa-0000-7000-8000-000000000001';

function inside(configuration: Parameters<typeof insideOf>[0]['configuration']) {
  const place = { folder: 'guestbook', subfolder: '' };
  return insideOf({ ...emptyConfiguration, configuration }, image, place, environmentId);
}

describe('the inside of an environment', () => {
  it.each([
    [{}, 'node'],
    [{ containerUser: 'dev' }, 'dev'],
    [{ containerUser: 'dev', remoteUser: 'other' }, 'other'],
  ])('of %j belongs to %s', (configuration, user) => {
    expect(inside(configuration).user).toBe(user);
  });

  it('has the variables of the image, of the container and of the user, each on top of the one before', () => {
    const { containerVariables, userVariables } = inside({
      containerEnv: { GREETING: 'hello', TWICE: '${containerEnv:PATH}' },
      remoteEnv: { PATH: '/opt:${containerEnv:PATH}', EMPTY: null, NAME: '${containerEnv:GREETING} you' },
    });
    expect(containerVariables).toMatchObject({ PATH: '/usr/bin', GREETING: 'hello', TWICE: '/usr/bin' });
    expect(userVariables).toMatchObject({ PATH: '/opt:/usr/bin', NAME: 'hello you' });
    expect('EMPTY' in userVariables).toBe(false);
  });

  it('has an id of its own that everything in the configuration may name', () => {
    const configuration = { containerEnv: { ID: 'volume-${devcontainerId}' } };
    const id = inside(configuration).userVariables['ID'];
    expect(id).toMatch(/^volume-[0-9a-v]{52}$/);
    expect(inside({ ...configuration, image: 'another' }).userVariables['ID']).toBe(id);
    const read = { ...emptyConfiguration, configuration };
    const other = insideOf(read, image, { folder: 'guestbook', subfolder: '' }, 'another');
    expect(other.userVariables['ID']).not.toBe(id);
  });

  it('names its ports to forward, and warns of those of other hosts', () => {
    const { forwardPorts, warnings } = inside({ forwardPorts: [3000, '8080', 'localhost:3000', 'db:5432'] });
    expect(forwardPorts).toEqual([3000, 8080]);
    expect(warnings).toEqual([expect.stringContaining('"db:5432" is a port of another host')]);
  });

  it('stands where the configuration wants it', () => {
    expect(inside({})).toMatchObject({
      mountTarget: '/workspaces/guestbook',
      workspaceFolder: '/workspaces/guestbook',
    });
    const moved = inside({
      workspaceFolder: '/srv/app',
      workspaceMount: 'source=${localWorkspaceFolder},target=/srv/app,type=bind',
    });
    expect(moved).toMatchObject({ mountTarget: '/srv/app', workspaceFolder: '/srv/app' });
  });
});

describe('an environment of a folder in a repository', () => {
  const place = { folder: 'shop', subfolder: 'apps/web' };
  const read = (configuration: Parameters<typeof insideOf>[0]['configuration']) =>
    insideOf({ ...emptyConfiguration, configuration, place }, image, place, environmentId);

  it('has the whole repository mounted and begins in the folder', () => {
    expect(read({})).toMatchObject({
      mountTarget: '/workspaces/shop',
      workspaceFolder: '/workspaces/shop/apps/web',
    });
  });

  it('has variables that name the folder', () => {
    const { userVariables } = read({
      remoteEnv: { OUTER: '${localWorkspaceFolder}', INNER: '${containerWorkspaceFolder}' },
    });
    expect(userVariables).toMatchObject({
      OUTER: '/workspaces/shop/apps/web',
      INNER: '/workspaces/shop/apps/web',
    });
  });
});

describe('life-cycle commands', () => {
  const configuration = { onCreateCommand: 'make', postStartCommand: ['serve'], initializeCommand: 'x' };
  const record = { ...emptyRecord(0), rootSession: 'd1', boot: 'boot-3', contentSession: 'c1' };

  it('run once per rebuild or once per boot, and never those of the machine', () => {
    const spec = supervisorSpecOf(create(DesiredEnvironmentSchema), inside(configuration), record);
    expect(spec.lifecycle.map(({ name, session }) => [name, session])).toEqual([
      ['onCreateCommand', 'd1'],
      ['postStartCommand', 'boot-3'],
    ]);
    expect(spec.ownershipSession).toBe('c1:node');
  });

  it('that have succeeded once for the dev container are not run again by the next boot', () => {
    const described = inside(configuration);
    const report = { name: 'onCreateCommand', phase: StepPhase.SUCCEEDED, session: 'd1' };
    const status = create(SupervisorStatusSchema, { lifecycle: [report] });
    const lifecycleDone = lifecycleDoneOf(described, record, status);
    const namesIn = (boot: string, rootSession: string): string[] =>
      supervisorSpecOf(create(DesiredEnvironmentSchema), described, {
        ...record,
        boot,
        rootSession,
        lifecycleDone,
      }).lifecycle.map(({ name }) => name);
    expect(lifecycleDone).toEqual({ session: 'd1', boots: { onCreateCommand: 'boot-3' } });
    // The boot that ran it still names it, so that what was applied stays what is wished.
    expect(namesIn('boot-3', 'd1')).toEqual(['onCreateCommand', 'postStartCommand']);
    expect(namesIn('boot-4', 'd1')).toEqual(['postStartCommand']);
    expect(namesIn('boot-4', 'd2')).toEqual(['onCreateCommand', 'postStartCommand']);
    const later = { ...record, boot: 'boot-4', lifecycleDone };
    expect(lifecycleFacts(described, later, undefined).lifecycle).toBe('none');
  });

  it.each([
    [undefined, 'running'],
    [{ phase: StepPhase.RUNNING, session: 'd1' }, 'running'],
    [{ phase: StepPhase.SUCCEEDED, session: 'd1' }, 'succeeded'],
    [{ phase: StepPhase.SUCCEEDED, session: 'd0' }, 'running'],
    [{ phase: StepPhase.FAILED, session: 'd1' }, 'failed'],
  ])('reported as %j count as %s', (report, expected) => {
    const lifecycle = report === undefined ? [] : [{ name: 'onCreateCommand', ...report }];
    const status = create(SupervisorStatusSchema, { lifecycle });
    expect(lifecycleFacts(inside(configuration), record, status).lifecycle).toBe(expected);
    expect(lifecycleFacts(inside({}), record, status).lifecycle).toBe('none');
  });

  it('count as failed where nothing can run, and say where the repository is', () => {
    const userFailure = 'Nothing can run.';
    const failed = (ownershipSession: string, workspaceFolder = '/workspaces/guestbook/sub') =>
      lifecycleFacts(
        inside({ ...configuration, workspaceFolder }),
        record,
        create(SupervisorStatusSchema, { userFailure, ownershipSession }),
      );
    expect(failed('')).toEqual({ lifecycle: 'failed', lifecycleMessage: userFailure });
    expect(failed('', '/srv').lifecycleMessage).toBe(
      `${userFailure} The repository is in /workspaces/guestbook.`,
    );
    // The user is there, and a file could not be given to the user: a warning.
    expect(failed(`${record.contentSession ?? ''}:node`).lifecycle).toBe('running');
  });
});

describe('an environment class', () => {
  const defaults = { cpuWeight: 100, memoryBytesMax: 2 ** 30, processesMax: 1024 };
  const limits = (values: Record<string, string>) =>
    limitsOf(
      create(DesiredEnvironmentSchema, {
        environmentClass: {
          configuration: Object.entries(values).map(([key, value]) => ({ key, value })),
        },
      }),
      defaults,
    );

  it.each([
    [{}, defaults],
    [
      { cpuWeight: '200', memoryMib: '512', processesMax: '100' },
      { cpuWeight: 200, memoryBytesMax: 512 * 2 ** 20, processesMax: 100 },
    ],
    [
      { cpuWeight: '0', memoryMib: 'much', processesMax: '-5' },
      { ...defaults, cpuWeight: 1 },
    ],
    [{ memoryBytesMax: '1' }, { ...defaults, memoryBytesMax: 64 * 2 ** 20 }],
  ])('of %j limits to %j', (values, expected) => {
    expect(limits(values)).toEqual(expected);
  });
});

describe('a host name', () => {
  it.each([
    ['Guest Book!', 'guest-book'],
    ['---', 'environment'],
    ['', 'environment'],
    ['a'.repeat(100), 'a'.repeat(63)],
  ])('of %j is %s', (name, hostname) => {
    expect(hostnameOf(create(EnvironmentSchema, { metadata: { name } }))).toBe(hostname);
  });
});
