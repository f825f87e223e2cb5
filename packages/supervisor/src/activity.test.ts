import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ActivityKind, type ActivityEntry } from '@atelier/api/atelier/environment_detail';
import { TaskExecutionPhase } from '@atelier/api/gitpod/environment_automation';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { specOf, startTrial, statusWhen, type Trial, type TrialClients } from './trial.ts';

let trial: Trial;
let clients: TrialClients & { drop(): void };
beforeEach(async () => {
  trial = await startTrial();
  clients = await trial.connect();
});
afterEach(() => trial.close());

/** Waits for a status whose entries of one kind are as wanted, and gives them. */
async function entriesWhen(
  kind: ActivityKind,
  isWanted: (entries: readonly ActivityEntry[]) => boolean,
): Promise<ActivityEntry[]> {
  const ofKind = (entries: readonly ActivityEntry[] = []): ActivityEntry[] =>
    entries.filter((entry) => entry.kind === kind);
  const status = await statusWhen(clients, ({ activity }) => isWanted(ofKind(activity?.entries)));
  return ofKind(status.activity?.entries);
}

const some = (entries: readonly unknown[]): boolean => entries.length > 0;
const none = (entries: readonly unknown[]): boolean => entries.length === 0;

describe('work that is seen inside', () => {
  it('is nothing where nobody does anything', async () => {
    const { activity } = await statusWhen(clients, () => true);
    expect(activity?.entries).toEqual([]);
  });

  it('an open terminal is none; typing is, and what it prints while somebody looks', async () => {
    const { terminalId } = await clients.operations.createTerminal({ shell: '/bin/sh' });
    const { activity } = await statusWhen(clients, () => true);
    expect(activity?.entries.map(({ kind }) => kind)).toEqual([ActivityKind.CLIENT]);
    const reading = new AbortController();
    const output = clients.operations.readTerminal({ terminalId }, { signal: reading.signal });
    await clients.operations.writeTerminal({ terminalId, data: Buffer.from('echo typed\n') });
    let printed = '';
    const read = (async () => {
      for await (const { data } of output) printed += Buffer.from(data).toString();
    })().catch(() => undefined);
    await expect.poll(() => printed).toContain('typed');
    const [input] = await entriesWhen(ActivityKind.TERMINAL_INPUT, some);
    expect(input?.name).toMatch(/^\/bin\/sh \(pid \d+\)$/);
    expect(input?.lastAt).toBeDefined();
    expect(await entriesWhen(ActivityKind.TERMINAL_OUTPUT, some)).toHaveLength(1);
    reading.abort();
    await read;
  });

  it('of a terminal outlives it', async () => {
    const { terminalId } = await clients.operations.createTerminal({ shell: '/bin/sh' });
    trial.supervisor.acted.happens();
    await clients.operations.writeTerminal({ terminalId, data: Buffer.from('exit\n') });
    await expect.poll(() => trial.supervisor.processes.running()).toEqual([]);
    expect(await entriesWhen(ActivityKind.TERMINAL_INPUT, none)).toEqual([]);
    expect(await entriesWhen(ActivityKind.CLIENT, some)).toHaveLength(1);
  });

  it('a command that a client waits for, by its words, as long as it runs', async () => {
    const command = 'while [ ! -e go ]; do sleep 0.05; done';
    const ended = clients.operations.exec({ command });
    const [entry] = await entriesWhen(ActivityKind.EXECUTION, some);
    expect([entry?.name, entry?.lastAt]).toEqual([command, undefined]);
    writeFileSync(join(trial.folder, 'go'), '');
    expect((await ended).exitCode).toBe(0);
    await entriesWhen(ActivityKind.EXECUTION, none);
  });

  it('a task, by its name', async () => {
    const step = {
      id: 's1',
      label: 'build',
      step: { case: 'task' as const, value: { id: 't1', spec: { command: 'exec sleep 1000' } } },
    };
    const executions = [
      { id: 'e1', spec: { desiredPhase: TaskExecutionPhase.RUNNING, plan: [{ steps: [step] }] } },
    ];
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 1n, executions }) });
    const [entry] = await entriesWhen(ActivityKind.TASK, (entries) => entries[0]?.name === 'build');
    expect(entry?.since).toBeDefined();
    await clients.supervisor.apply({ spec: specOf(trial.folder, { revision: 2n }) });
    await entriesWhen(ActivityKind.TASK, none);
  });
});

describe('keep-alive', () => {
  const fileOf = (pid: number | string): string => join(trial.folder, 'keep-alive', String(pid));

  it('a file named by a process keeps on, with its reason, until the process ends', async () => {
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    const pid = child.pid ?? 0;
    writeFileSync(fileOf(pid), 'training\nthe model\n');
    const [entry] = await entriesWhen(ActivityKind.KEEP_ALIVE, some);
    expect([entry?.name, entry?.lastAt]).toEqual(['training the model', undefined]);
    expect(entry?.since).toBeDefined();
    child.kill('SIGKILL');
    await once(child, 'exit');
    await entriesWhen(ActivityKind.KEEP_ALIVE, none);
    expect(existsSync(fileOf(pid))).toBe(false);
  });

  it('reads nothing through a link, waits for no pipe, and is not flooded', async () => {
    const children = [1, 2, 3].map(() => spawn('sleep', ['1000'], { stdio: 'ignore' }));
    const [link = 0, pipe = 0, honest = 0] = children.map(({ pid }) => pid);
    writeFileSync(join(trial.folder, 'secret'), 'secret');
    symlinkSync(join(trial.folder, 'secret'), fileOf(link));
    execFileSync('mkfifo', [fileOf(pipe)]);
    writeFileSync(fileOf('no-pid'), 'nobody');
    writeFileSync(fileOf(honest), 'x'.repeat(100_000));
    const entries = await entriesWhen(ActivityKind.KEEP_ALIVE, some);
    expect(entries.map(({ name }) => [name.slice(0, 2), name.length])).toEqual([['xx', 100]]);
    for (const child of children) child.kill('SIGKILL');
  });

  it('forgets what an earlier supervisor was asked', async () => {
    writeFileSync(fileOf(process.pid), 'earlier');
    await entriesWhen(ActivityKind.KEEP_ALIVE, some);
    const again = await startTrial({ keepAliveFolder: join(trial.folder, 'keep-alive') });
    expect(readdirSync(join(trial.folder, 'keep-alive'))).toEqual([]);
    await again.close();
  });
});
