import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import { runProcess } from '@atelier/sdk';
import { beforeAll, expect, it } from 'vitest';
import { describeAtelier } from './atelier.ts';
import { Counter } from './counter.ts';
import { crash, initOf, type HostProcess } from './host.ts';
import { devcontainer, makeRepository } from './repository.ts';

const pollMs = 60_000;

interface Record {
  readonly pid: number;
  readonly options: { readonly halves: readonly string[] };
}

describeAtelier('daemon that ends', (atelier) => {
  let id: string;
  let boot: string | undefined;
  let init: HostProcess | undefined;

  /** What each half says of itself in the home. */
  const recordOf = (half: 'plane' | 'runner'): Record => {
    const whole = readRecord('daemon.json');
    return whole.options.halves.includes(half) ? whole : readRecord('runner.json');
  };
  const readRecord = (name: string): Record =>
    JSON.parse(readFileSync(join(atelier().home, name), 'utf8')) as Record;
  const statusOf = async (environment: string) =>
    (await (await atelier().client()).environments.find(environment)).status;
  const stepOf = async (environment: string, name: string) =>
    (await statusOf(environment))?.detail?.steps.find((step) => step.name === name);

  beforeAll(async () => {
    const folder = makeRepository(join(atelier().folder, 'survivor'), {
      ...devcontainer({
        postStartCommand:
          'echo begun | tee -a /runs; until [ -e /go ]; do sleep 0.1; done; echo ended | tee -a /runs',
      }),
      '.gitpod/automations.yaml':
        'tasks:\n  wait:\n    name: wait\n    command: until [ -e /go-task ]; do sleep 0.1; done; echo waited\n',
    });
    await atelier().ok('up', folder);
    const environment = await (await atelier().client()).environments.find('survivor');
    id = environment.id;
    boot = environment.status?.detail?.boot;
    init = initOf(id);
    expect([boot, init]).not.toContain(undefined);
  });

  async function expectUntouched(): Promise<void> {
    expect(initOf(id)).toEqual(init);
    const status = await statusOf(id);
    expect(status?.detail?.boot).toBe(boot);
    expect(status?.phase).toBe(EnvironmentPhase.RUNNING);
  }

  it('by a crash comes back to a terminal, a life-cycle command and a build that go on', async () => {
    const counter = await Counter.begin(atelier(), id, '/tmp/crash');
    const built = makeRepository(join(atelier().folder, 'built'), {
      Dockerfile:
        'FROM localhost/atelier/base\nRUN for i in 1 2 3 4 5 6; do echo layer $i; sleep 0.5; done; echo made >> /made\n',
      ...devcontainer({ build: { dockerfile: '../Dockerfile' } }),
    });
    const up = atelier().begin(['up', built], { input: '' });
    await expect
      .poll(async () => (await stepOf('built', 'image').catch(() => undefined))?.message, { timeout: pollMs })
      .toContain('layer');
    await crash([recordOf('plane').pid, recordOf('runner').pid]);
    await counter.burst();
    counter.type('typed while nobody was there\n');
    await atelier().ok('daemon', 'start');
    await counter.finish('typed while nobody was there');
    expect(counter.notes).toContain('[atelier: the connection is lost: waiting for the daemon]');
    expect(counter.notes).toContain('[atelier: connected again]');
    await expectUntouched();
    const { code, stderr } = await up.ended;
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/the daemon is away: waiting for it\n[^]*the daemon is back/);
    expect(await atelier().inside('built', 'cat /made')).toBe('made');
    const runs = 'touch /go; until grep -q ended /runs; do sleep 0.1; done; cat /runs';
    expect(await atelier().inside('survivor', runs)).toBe('begun\nended');
    await expect
      .poll(async () => (await stepOf('survivor', 'lifecycle/postStartCommand'))?.phase, { timeout: pollMs })
      .toBe(StepPhase.SUCCEEDED);
    expect(await atelier().ok('logs', 'survivor', 'postStartCommand')).toBe('begun\nended\n');
  });

  it('with its halves apart: the runner crashes, and comes back to its terminals', async () => {
    await atelier().ok('daemon', 'stop');
    await atelier().ok('daemon', 'start', '--plane');
    await atelier().ok('daemon', 'start', '--runner');
    const [plane, runner] = [recordOf('plane').pid, recordOf('runner').pid];
    expect(plane).not.toBe(runner);
    const counter = await Counter.begin(atelier(), id, '/tmp/runner');
    const shell = atelier().beginOnTerminal(['shell', id]);
    shell.child.stdin?.write('echo shell=$$=\n');
    await expect.poll(() => shell.said.stdout, { timeout: pollMs }).toMatch(/shell=\d+=/);
    await crash([runner]);
    await counter.burst();
    await atelier().ok('daemon', 'start', '--runner');
    expect(recordOf('plane').pid).toBe(plane);
    counter.type('again\n');
    await counter.finish('again');
    shell.child.stdin?.write('echo again=$$=; exit 5\n');
    expect((await shell.ended).code).toBe(5);
    const [, one] = /shell=(\d+)=/.exec(shell.said.stdout) ?? [];
    expect(shell.said.stdout).toContain(`again=${one}=`);
    await expectUntouched();
  });

  it('with its halves apart: the plane crashes, what runs is not cut, and it learns of it later', async () => {
    const runner = recordOf('runner').pid;
    const counter = await Counter.begin(atelier(), id, '/tmp/plane');
    const client = await atelier().client();
    await client.access(id).open();
    await atelier().ok('task', 'start', 'survivor', 'wait');
    await crash([recordOf('plane').pid]);
    // Both ways in were opened before: they need the runner alone.
    let said = '';
    const inside = runProcess(client, id, {
      arguments: ['sh', '-c', 'touch /go-task; echo "$((40 + 2))"'],
      onOutput: (_stream, data) => void (said += Buffer.from(data).toString()),
    });
    expect(await inside.ended).toMatchObject({ exitCode: 0 });
    expect(said).toBe('42\n');
    await counter.burst();
    await counter.counts();
    expect(counter.notes).not.toContain('lost');
    const { code, stderr } = await atelier().run('ls');
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('starting it') });
    expect(recordOf('runner').pid).toBe(runner);
    expect(recordOf('plane').pid).not.toBe(runner);
    await expect
      .poll(() => atelier().ok('task', 'list', 'survivor'), { timeout: pollMs })
      .toMatch(/^wait +succeeded /m);
    expect(await atelier().ok('task', 'logs', 'survivor', 'wait')).toBe('waited\n');
    counter.type('back\n');
    await counter.finish('back');
    expect(counter.notes).not.toContain('lost');
    await expectUntouched();
  });

  it('with its halves apart: each is restarted by commands of a newer version, and no environment', async () => {
    const counter = await Counter.begin(atelier(), id, '/tmp/older');
    const before = [recordOf('plane').pid, recordOf('runner').pid];
    for (const name of ['daemon.json', 'runner.json']) {
      writeFileSync(join(atelier().home, name), JSON.stringify({ ...readRecord(name), version: '0.0.1' }));
    }
    const both = await Promise.all([atelier().run('ls'), atelier().run('status', 'survivor')]);
    expect(both).toMatchObject([{ code: 0 }, { code: 0 }]);
    // Whichever of the two was faster with a half has said so.
    const said = both.map(({ stderr }) => stderr).join('');
    const restart = /the daemon is of version 0\.0\.1, this is .*: restarting it, environments go on/g;
    expect(said.match(restart)?.length).toBeGreaterThanOrEqual(2);
    const after = [recordOf('plane').pid, recordOf('runner').pid];
    expect(new Set([...before, ...after]).size).toBe(4);
    counter.type('newer\n');
    await counter.finish('newer');
    await expectUntouched();
    await atelier().ok('stop', 'survivor');
    expect((await statusOf(id))?.phase).toBe(EnvironmentPhase.STOPPED);
    expect(initOf(id)).toBeUndefined();
  });
});
