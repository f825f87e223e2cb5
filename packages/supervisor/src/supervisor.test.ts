import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { supervisorProtocolVersion } from '@atelier/api';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import {
  ServicePhase,
  TaskExecutionPhase,
  type AutomationsFile,
} from '@atelier/api/gitpod/environment_automation';
import { FileChange_ChangeType as ChangeType } from '@atelier/api/gitpod/git_status';
import { Code, ConnectError } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { specOf, startTrial, statusWhen, type Trial, type TrialClients } from './trial.ts';

let trial: Trial;
let clients: TrialClients & { drop(): void };
beforeEach(async () => {
  trial = await startTrial();
  clients = await trial.connect();
});
afterEach(() => trial.close());

const sh = (script: string): string[] => ['/bin/sh', '-c', script];

async function logWhen(log: string, isWanted: (text: string) => boolean, from = 0): Promise<string> {
  const enough = new AbortController();
  const parts: Buffer[] = [];
  for await (const part of clients.supervisor.watchLogs(
    { offsets: { [log]: BigInt(from) } },
    { signal: enough.signal },
  )) {
    if (part.log !== log) continue;
    parts.push(Buffer.from(part.data));
    const text = Buffer.concat(parts).toString();
    if (!isWanted(text)) continue;
    enough.abort();
    return text;
  }
  return '';
}

it('answers hello while a connection comes and goes', async () => {
  const first = await clients.supervisor.hello({ protocolVersion: supervisorProtocolVersion });
  expect(first).toMatchObject({ protocolVersion: supervisorProtocolVersion, boot: 'trial' });
  clients.drop();
  clients = await trial.connect();
  expect((await clients.supervisor.hello({})).startedAt).toEqual(first.startedAt);
});

it('survives a peer that is no runner', async () => {
  for (const garbage of [
    'GET / HTTP/1.1\r\n\r\n',
    '\0'.repeat(1000),
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxx',
  ]) {
    clients.drop();
    const socket = await trial.accept();
    socket.resume();
    const closed = once(socket, 'close');
    socket.write(garbage);
    await closed;
    clients = await trial.connect();
    expect((await clients.supervisor.hello({})).boot).toBe('trial');
  }
});

it('answers a request that names no address with a refusal', async () => {
  clients.drop();
  const socket = await trial.accept();
  const session = connect('http://supervisor', { createConnection: () => socket });
  const request = session.request({ ':method': 'POST', ':path': '/x', ':authority': 'localhost:99999' });
  const [headers] = (await once(request, 'response')) as [Record<string, unknown>];
  expect(headers[':status']).toBe(400);
  session.destroy();
  clients = await trial.connect();
});

describe('life-cycle commands', () => {
  const command = (name: string, session: string, ...scripts: string[]) => ({
    name,
    session,
    entries: scripts.map((script, index) => ({ label: `part${index}`, arguments: sh(script) })),
  });

  it('run in their order, entries in parallel, once per session', async () => {
    // Each entry of the first waits for the other, so they only end when both run.
    const meet = (own: string, other: string): string =>
      `touch ${own}; while [ ! -e ${other} ]; do sleep 0.01; done; echo ${own} >> order`;
    const lifecycle = [
      command('onCreateCommand', '1', meet('a', 'b'), meet('b', 'a')),
      command('postCreateCommand', '1', 'echo last >> order; echo said'),
    ];
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 1n, lifecycle }) });
    const isDone = (phases: StepPhase[]): boolean => phases.every((phase) => phase === StepPhase.SUCCEEDED);
    await statusWhen(
      clients,
      (status) => status.revision === 1n && isDone(status.lifecycle.map((each) => each.phase)),
    );
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 2n, lifecycle }) });
    const again = [lifecycle[0]!, command('postCreateCommand', '2', 'echo again >> order')];
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 3n, lifecycle: again }) });
    const status = await statusWhen(
      clients,
      ({ revision, lifecycle: [, second] }) =>
        revision === 3n && second?.session === '2' && second.phase === StepPhase.SUCCEEDED,
    );
    expect(status.lifecycle[1]?.took).toBeDefined();
    const lines = readFileSync(join(trial.folder, 'order'), 'utf8').trim().split('\n');
    expect([lines.slice(0, 2).sort(), lines.slice(2)]).toEqual([
      ['a', 'b'],
      ['last', 'again'],
    ]);
    expect(await logWhen('lifecycle/postCreateCommand', (text) => text.includes('said'))).toBe('said\n');
  });

  it('stop at a failure, which tells its code and its last words, until there is a new session', async () => {
    const lifecycle = [
      command('onCreateCommand', '1', 'echo first; echo the reason >&2; exit 9'),
      command('postCreateCommand', '1', 'touch never'),
    ];
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 1n, lifecycle }) });
    const failed = await statusWhen(clients, (status) => status.lifecycle[0]?.phase === StepPhase.FAILED);
    expect(failed.lifecycle[0]).toMatchObject({
      exitCode: 9,
      message: 'part0: exited with code 9: the reason',
    });
    expect(failed.lifecycle[1]).toMatchObject({
      phase: StepPhase.SKIPPED,
      message: 'onCreateCommand failed',
    });
    const repaired = [command('onCreateCommand', '2', 'true'), command('postCreateCommand', '1', 'true')];
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 2n, lifecycle: repaired }) });
    await statusWhen(clients, (status) => status.lifecycle[1]?.phase === StepPhase.SUCCEEDED);
  });

  it('do not begin for a user that the image does not have', async () => {
    const lifecycle = [command('onCreateCommand', '1', 'true')];
    const spec = specOf(trial.folder, { revision: 1n, lifecycle, user: 'no-such-user' });
    await clients.supervisor.apply({ spec });
    const status = await statusWhen(clients, ({ userFailure }) => userFailure !== '');
    expect(status.userFailure).toMatch(/^There is no user "no-such-user" .* commands run as root\.$/);
    expect(status.lifecycle).toEqual([]);
    // Somebody has to get in and mend it.
    expect(trial.supervisor.surroundings()).toMatchObject({ user: 'root', workingDirectory: trial.folder });
  });

  it('do not begin where there is no workspace folder, but go on when it vanishes later', async () => {
    const folder = `${trial.folder}/later`;
    const apply = (revision: bigint) => {
      const lifecycle = [command('onCreateCommand', String(revision), 'true')];
      const spec = specOf(folder, { revision, lifecycle, user: '', ownershipSession: 's1' });
      return clients.supervisor.apply({ spec });
    };
    await apply(1n);
    const status = await statusWhen(clients, ({ userFailure }) => userFailure !== '');
    expect(status.userFailure).toMatch(/later is not there\. Correct workspaceFolder .* run in \/\.$/);
    expect(status.lifecycle).toEqual([]);
    expect(trial.supervisor.surroundings().workingDirectory).toBe('/');
    mkdirSync(folder);
    await apply(2n);
    await statusWhen(clients, ({ lifecycle }) => lifecycle[0]?.phase === StepPhase.SUCCEEDED);
    rmSync(folder, { recursive: true });
    await apply(3n);
    await statusWhen(clients, ({ revision, userFailure }) => revision === 3n && userFailure === '');
  });
});

describe('automations', () => {
  const service = (
    id: string,
    commands: { start: string; ready?: string; stop?: string },
    session = 's1',
  ) => ({
    id,
    metadata: { reference: id },
    spec: { desiredPhase: ServicePhase.RUNNING, session, commands },
  });
  const applied = (revision: number, parts: Parameters<typeof specOf>[1]): Promise<unknown> =>
    clients.supervisor.apply({ spec: specOf(trial.folder, { revision: BigInt(revision), ...parts }) });
  const phaseOf = (status: Awaited<ReturnType<typeof statusWhen>>, id: string): ServicePhase | undefined =>
    status.services.find((report) => report.serviceId === id)?.status?.phase;

  it('reads the file of a new session, and says what is wrong with it', async () => {
    mkdirSync(join(trial.folder, '.gitpod'));
    const path = join(trial.folder, '.gitpod/automations.yaml');
    writeFileSync(path, 'tasks:\n  build:\n    name: Build\n    command: make\n');
    await applied(1, { automationsSession: 'one' });
    const read = await statusWhen(clients, (status) => status.automationsFile?.session === 'one');
    const file: AutomationsFile | undefined = read.automationsFile?.file;
    expect([read.automationsFile?.path, file?.tasks['build']?.command]).toEqual([
      '.gitpod/automations.yaml',
      'make',
    ]);
    writeFileSync(path, 'tasks:\n  build:\n    nome: Build\n');
    await applied(2, { automationsSession: 'two' });
    const wrong = await statusWhen(clients, (status) => status.automationsFile?.session === 'two');
    expect(wrong.automationsFile?.failureMessage).toMatch(/^\.gitpod\/automations\.yaml:\d+:\d+/);
    rmSync(path);
    execFileSync('mkfifo', [path]);
    await applied(3, { automationsSession: 'three' });
    const pipe = await statusWhen(clients, (status) => status.automationsFile?.session === 'three');
    expect(pipe.automationsFile?.failureMessage).toContain('it is no file');
    for (const [session, target, why] of [
      ['four', '/nowhere', 'it is a link that leads to no file'],
      ['five', '/etc/passwd', 'it is a link out of the repository'],
    ] as const) {
      rmSync(path);
      symlinkSync(target, path);
      await applied(session === 'four' ? 4 : 5, { automationsSession: session });
      const link = await statusWhen(clients, (status) => status.automationsFile?.session === session);
      expect(link.automationsFile?.failureMessage).toContain(why);
    }
  });

  it('starts a service, waits until it is ready, and stops it by its own command', async () => {
    const commands = {
      start: 'echo up; touch started; while :; do sleep 0.05; done',
      ready: 'test -e started',
      stop: 'echo bye; touch stopped',
    };
    await applied(1, { services: [service('web', commands)] });
    const running = await statusWhen(clients, (status) => phaseOf(status, 'web') === ServicePhase.RUNNING);
    expect(running.services[0]?.status?.session).toBe('s1');
    const wanted = service('web', commands);
    await applied(2, {
      services: [{ ...wanted, spec: { ...wanted.spec, desiredPhase: ServicePhase.STOPPED } }],
    });
    await statusWhen(clients, (status) => phaseOf(status, 'web') === ServicePhase.STOPPED);
    expect(await logWhen('service/web', (text) => text.includes('bye'))).toBe('up\nbye\n');
  });

  it('starts a service after the one that it depends on is ready', async () => {
    const web = service('web', { start: 'cat ready > seen; exec sleep 1000' });
    const database = service('db', {
      start: 'sleep 0.1; echo up > ready; exec sleep 1000',
      ready: 'test -e ready',
    });
    const dependent = { ...web, metadata: { ...web.metadata, dependencies: { dependsOn: ['db'] } } };
    await applied(1, { services: [dependent, database] });
    await statusWhen(clients, (status) => phaseOf(status, 'web') === ServicePhase.RUNNING);
    await expect.poll(() => readFileSync(join(trial.folder, 'seen'), 'utf8')).toBe('up\n');
  });

  it('says how a service failed, and starts it again only for a new session', async () => {
    const commands = { start: 'echo once >> runs; exit 4' };
    await applied(1, { services: [service('bad', commands)] });
    const failed = await statusWhen(clients, (status) => phaseOf(status, 'bad') === ServicePhase.FAILED);
    expect(failed.services[0]?.status?.failureMessage).toBe('its start command exited with code 4');
    await applied(2, { services: [service('bad', commands)] });
    await applied(3, { services: [service('bad', commands, 's2')] });
    await statusWhen(
      clients,
      ({ services }) =>
        services[0]?.status?.session === 's2' && services[0].status.phase === ServicePhase.FAILED,
    );
    expect(readFileSync(join(trial.folder, 'runs'), 'utf8')).toBe('once\nonce\n');
  });

  it('runs the steps of a task in order and after the service that one needs', async () => {
    const task = (id: string, command: string, dependsOn: string[] = []) => ({
      id,
      dependsOn,
      label: id,
      step: { case: 'task' as const, value: { id, spec: { command } } },
    });
    const needs = { id: 'db', label: 'db', step: { case: 'serviceId' as const, value: 'db' } };
    const db = service('db', { start: 'touch db; exec sleep 1000', ready: 'test -e db' });
    const idle = { ...db, spec: { ...db.spec, desiredPhase: ServicePhase.UNSPECIFIED, session: '' } };
    const plan = [
      { steps: [task('one', 'echo one >> order'), needs] },
      { steps: [task('two', 'test -e db && echo two >> order', ['one', 'db'])] },
    ];
    const broken = [{ steps: [task('x', 'exit 2')] }, { steps: [task('y', 'touch never', ['x'])] }];
    await applied(1, {
      services: [idle],
      executions: [
        { id: 'good', spec: { plan, desiredPhase: TaskExecutionPhase.RUNNING } },
        { id: 'broken', spec: { plan: broken, desiredPhase: TaskExecutionPhase.RUNNING } },
      ],
    });
    const status = await statusWhen(
      clients,
      ({ executions }) =>
        executions.length === 2 &&
        executions.every((report) => (report.status?.phase ?? 0) >= TaskExecutionPhase.SUCCEEDED),
    );
    const [good, bad] = status.executions;
    expect(good?.status?.phase).toBe(TaskExecutionPhase.SUCCEEDED);
    expect(readFileSync(join(trial.folder, 'order'), 'utf8')).toBe('one\ntwo\n');
    expect(bad?.status).toMatchObject({
      phase: TaskExecutionPhase.FAILED,
      failureMessage: 'x: its command exited with code 2',
    });
    expect(bad?.status?.steps[1]?.phase).toBe(TaskExecutionPhase.STOPPED);
    expect(phaseOf(status, 'db')).toBe(ServicePhase.RUNNING);
  });

  it('ends the commands of what is no longer wanted', async () => {
    await applied(1, { services: [service('gone', { start: 'echo $$; exec sleep 1000' })] });
    const pid = Number(await logWhen('service/gone', (text) => text.endsWith('\n')));
    await applied(2, {});
    await expect.poll(() => isAlive(pid)).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('what is observed', () => {
  it('tells listening ports with their processes, and forwards to them in both directions', async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const parts: Buffer[] = [];
      socket.on('data', (data: Buffer) => parts.push(data));
      socket.on('end', () => socket.end(Buffer.concat(parts.toReversed())));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const status = await statusWhen(clients, ({ ports }) => ports.some((each) => each.port === port));
    expect(status.ports.find((each) => each.port === port)).toMatchObject({ address: '127.0.0.1' });
    const big = Buffer.alloc(3_000_000, 'x');
    const requests = (async function* () {
      yield { message: { case: 'port' as const, value: port } };
      for (let sent = 0; sent < big.length; sent += 100_000) {
        yield { message: { case: 'data' as const, value: big.subarray(sent, sent + 100_000) } };
      }
    })();
    let received = 0;
    for await (const { message } of clients.ports.forward(requests)) {
      if (message.case === 'data') received += message.value.length;
    }
    expect(received).toBe(big.length);
    server.close();
    await once(server, 'close');
    const closed = clients.ports.forward(
      (async function* () {
        yield { message: { case: 'port' as const, value: port } };
      })(),
    );
    const failure = await (async () => {
      for await (const _ of closed);
    })().catch((thrown: unknown) => ConnectError.from(thrown).code);
    expect(failure).toBe(Code.Unavailable);
  });

  it('tells git status', async () => {
    const git = (...parameters: string[]): unknown =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...parameters], {
        cwd: trial.folder,
      });
    git('init', '--quiet', '--initial-branch=main');
    git('remote', 'add', 'origin', 'https://name:secret@example.com/a.git');
    for (const name of ['same', 'old name', 'deleted'])
      writeFileSync(join(trial.folder, name), `${name}\n`.repeat(9));
    git('add', 'same', 'old name', 'deleted');
    git('commit', '--quiet', '--message', 'A beginning');
    git('mv', 'old name', 'new name');
    git('rm', '--quiet', 'deleted');
    writeFileSync(join(trial.folder, 'same'), 'other');
    writeFileSync(join(trial.folder, 'fresh'), 'x');
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 1n, git: true }) });
    const { git: status } = await statusWhen(clients, (each) => each.git !== undefined);
    expect(status).toMatchObject({
      branch: 'main',
      cloneUrl: 'https://example.com/a.git',
      totalUnpushedCommits: 1,
    });
    expect(status?.unpushedCommits[0]).toMatch(/^[0-9a-f]+ A beginning$/);
    const changes = status?.changedFiles
      .filter(({ path }) => path !== 'socket')
      .map(({ path, changeType, oldPath }) => [path, changeType, oldPath]);
    expect(changes?.sort()).toEqual([
      ['deleted', ChangeType.DELETED, ''],
      ['fresh', ChangeType.UNTRACKED, ''],
      ['new name', ChangeType.RENAMED, 'old name'],
      ['same', ChangeType.MODIFIED, ''],
    ]);
  });

  it('sends the whole status at once, and in the long run a few times per second at most', async () => {
    const enough = new AbortController();
    let messages = 0;
    const startedMs = performance.now();
    for await (const { status } of clients.supervisor.watchStatus({}, { signal: enough.signal })) {
      messages += 1;
      const revision = Number(status?.revision ?? 0);
      if (revision >= 200) break;
      if (messages === 1) {
        for (let next = 1; next <= 200; next += 1) {
          await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: BigInt(next) }) });
        }
      }
    }
    expect(messages).toBeLessThanOrEqual(9 + (performance.now() - startedMs) / 200);
    expect(messages).toBeGreaterThanOrEqual(2);
  });
});

describe('shutdown', () => {
  it('ends services by their rules and kills what will not go', async () => {
    const services = [
      {
        id: 'kind',
        spec: {
          desiredPhase: ServicePhase.RUNNING,
          session: '1',
          commands: { start: 'echo $$ > kind; exec sleep 1000', stop: 'touch asked' },
        },
      },
    ];
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 1n, services }) });
    const stubborn = clients.processes.run(
      (async function* () {
        const script = "trap '' TERM; echo $$; while :; do sleep 0.05; done";
        yield {
          message: { case: 'start' as const, value: { processId: 'stubborn', arguments: sh(script) } },
        };
      })(),
    );
    let pid = 0;
    const ended = (async () => {
      for await (const { message } of stubborn) {
        if (message.case === 'output') pid = Number(Buffer.from(message.value.data).toString());
        if (message.case === 'exited') return message.value.signal;
      }
      return '';
    })();
    await statusWhen(
      clients,
      (status) => status.services[0]?.status?.phase === ServicePhase.RUNNING && pid > 0,
    );
    await clients.supervisor.shutdown({ grace: { seconds: 0n, nanos: 500_000_000 } });
    expect(await ended).toBe('SIGKILL');
    expect(isAlive(pid)).toBe(false);
    const late = clients.operations.exec({ command: 'true' });
    await expect(late).rejects.toMatchObject({ code: Code.FailedPrecondition });
    expect(isAlive(Number(readFileSync(join(trial.folder, 'kind'), 'utf8')))).toBe(false);
    expect(readFileSync(join(trial.folder, 'asked'), 'utf8')).toBe('');
  });

  it('ends sooner when a second call has less patience, and not later when it has more', async () => {
    const commands = { start: 'echo $$ > slow; exec sleep 1000', stop: 'touch asked; exec sleep 1000' };
    const spec = { desiredPhase: ServicePhase.RUNNING, session: '1', commands };
    const services = [{ id: 'slow', spec }];
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 1n, services }) });
    await statusWhen(clients, (status) => status.services[0]?.status?.phase === ServicePhase.RUNNING);
    const patient = clients.supervisor.shutdown({ grace: { seconds: 3600n } });
    await expect.poll(() => existsSync(join(trial.folder, 'asked'))).toBe(true);
    const hasty = clients.supervisor.shutdown({ grace: { nanos: 1 } });
    const late = clients.supervisor.shutdown({ grace: { seconds: 3600n } });
    await Promise.all([patient, hasty, late]);
    // Killed, but it may still be on its way out.
    const slow = Number(readFileSync(join(trial.folder, 'slow'), 'utf8'));
    await expect.poll(() => isAlive(slow)).toBe(false);
  });
});
