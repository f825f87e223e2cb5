import { join } from 'node:path';
import { EnvironmentPhase, type Environment } from '@atelier/api/gitpod/environment';
import type { EnvironmentView } from '@atelier/sdk';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { describeAtelier, type Begun } from './atelier.ts';
import { devcontainer, makeRepository, writeFiles } from './repository.ts';

/** Something that does not end before it is ended. */
const forever = 'while :; do :; sleep 1; done';

const isStep = ({ status }: Environment, name: string, message = ''): boolean =>
  status?.detail?.steps.some(
    (step) => step.name === name && step.phase === 2 && step.message.includes(message),
  ) ?? false;

const isPhase = ({ status }: Environment, phase: EnvironmentPhase): boolean => status?.phase === phase;

describeAtelier('delete from every phase', (atelier) => {
  let folder: string;
  let up: Begun | undefined;

  beforeAll(() => {
    folder = makeRepository(join(atelier().folder, 'doomed'), { 'a.txt': 'a' });
  });

  afterEach(async () => {
    up?.child.kill('SIGINT');
    await up?.ended;
    up = undefined;
  });

  /** Begins to make the environment of these files, and waits until `reached` says so. */
  async function begin(
    files: Record<string, string>,
    reached: (environment: Environment) => boolean,
  ): Promise<void> {
    const base = { '.devcontainer/devcontainer.json': '{}', '.gitpod/automations.yaml': '' };
    writeFiles(folder, { ...base, ...files });
    up = atelier().begin(['up', folder], { input: '' });
    const { said } = up;
    await expect.poll(() => said.stderr, { timeout: 60_000 }).toContain('environment doomed');
    await reach(reached);
  }

  async function reach(reached: (environment: Environment) => boolean): Promise<void> {
    const client = await atelier().client();
    const { id } = await client.environments.find('doomed');
    await client.environments.waitFor(id, ({ environment }: EnvironmentView) =>
      environment && reached(environment) ? true : undefined,
    );
  }

  async function running(): Promise<void> {
    await begin({}, (environment) => isPhase(environment, EnvironmentPhase.RUNNING));
  }

  async function deleteAndLook(): Promise<void> {
    const { code, stderr } = await atelier().run('delete', 'doomed');
    expect(code, stderr).toBe(0);
    expect(await atelier().names()).toEqual([]);
    expect(await atelier().leftovers()).toEqual([]);
  }

  it('while its content is made', async () => {
    await begin({}, (environment) => isStep(environment, 'content'));
    await deleteAndLook();
  });

  it('while its initializeCommand runs', async () => {
    await begin(devcontainer({ initializeCommand: forever }), (environment) =>
      isStep(environment, 'configuration', 'initializeCommand'),
    );
    await deleteAndLook();
  });

  it('while its image is built', async () => {
    await begin(
      {
        Dockerfile: `FROM localhost/atelier/base\nRUN echo deep in && ${forever}\n`,
        ...devcontainer({ build: { dockerfile: '../Dockerfile' } }),
      },
      (environment) => isStep(environment, 'image', 'deep in'),
    );
    await deleteAndLook();
  });

  it('while a life-cycle command runs', async () => {
    await begin(devcontainer({ onCreateCommand: forever }), (environment) =>
      isStep(environment, 'lifecycle'),
    );
    await deleteAndLook();
  });

  it('while it runs, with a terminal, a port and a process that ignores signals', async () => {
    await running();
    const inside = atelier().begin([
      'exec',
      '-t',
      'doomed',
      '--',
      'sh',
      '-c',
      `trap "" TERM HUP INT; echo ready; ${forever}`,
    ]);
    await expect.poll(() => inside.said.stdout, { timeout: 30_000 }).toContain('ready');
    await deleteAndLook();
    // Its end is known, or unknown, but it does not hang.
    expect((await inside.ended).code).not.toBe(0);
  });

  it('while it stops, and when it has stopped', async () => {
    await running();
    const client = await atelier().client();
    const { id } = await client.environments.find('doomed');
    const stop = atelier().begin(['stop', 'doomed'], { input: '' });
    await client.environments.waitFor(id, ({ environment }) =>
      [EnvironmentPhase.STOPPING, EnvironmentPhase.STOPPED].includes(environment?.status?.phase ?? 0)
        ? true
        : undefined,
    );
    await deleteAndLook();
    await stop.ended;
    await running();
    await atelier().ok('stop', 'doomed');
    await deleteAndLook();
  });

  it('while it is in recovery', async () => {
    await begin(
      devcontainer({ image: 'localhost/no/such:image' }),
      ({ status }) =>
        status?.devcontainer?.failureMessage !== '' && status?.phase === EnvironmentPhase.RUNNING,
    );
    await deleteAndLook();
  });

  it('when it failed for good', async () => {
    const { code } = await atelier().run('up', '--name', 'doomed', `file://${atelier().folder}/nowhere`);
    expect(code).not.toBe(0);
    await deleteAndLook();
  });

  it('twice at once, and never again', async () => {
    await running();
    const both = await Promise.all([atelier().run('delete', 'doomed'), atelier().run('delete', 'doomed')]);
    expect(both.map(({ code }) => code).every((code) => code === 0 || code === 5)).toBe(true);
    expect(both.some(({ code }) => code === 0)).toBe(true);
    expect(await atelier().run('delete', 'doomed')).toMatchObject({ code: 5 });
    expect(await atelier().leftovers()).toEqual([]);
  });
});
