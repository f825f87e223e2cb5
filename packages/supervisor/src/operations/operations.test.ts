import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WriteMode } from '@atelier/api/supervisor/environment_ops';
import { Code } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTrial, type Trial, type TrialClients } from '../trial.ts';

let trial: Trial;
let operations: TrialClients['operations'];
beforeAll(async () => {
  trial = await startTrial();
  ({ operations } = await trial.connect());
});
afterAll(() => trial.close());

const inFolder = (name: string): string => join(trial.folder, name);

describe('files', () => {
  it('are read in parts, with their size and, when whole, their hash', async () => {
    writeFileSync(inFolder('digits'), '0123456789');
    const whole = await operations.readFile({ path: 'digits' });
    const part = await operations.readFile({ path: inFolder('digits'), offset: 3n, length: 4n });
    expect(whole.result).toMatchObject({ case: 'content', value: { totalSize: 10n } });
    expect(part.result.case === 'content' && Buffer.from(part.result.value.data).toString()).toBe('3456');
    expect(whole.result.case === 'content' && whole.result.value.contentHash).toHaveLength(64);
    const proc = await operations.readFile({ path: '/proc/self/status' });
    expect(proc.result.case === 'content' && proc.result.value.data.length).toBeGreaterThan(100);
  });

  it('that are missing or no files are told apart', async () => {
    await expect(operations.readFile({ path: '/no/such' })).rejects.toMatchObject({ code: Code.NotFound });
    execFileSync('mkfifo', [inFolder('pipe')]);
    await expect(operations.readFile({ path: 'pipe' })).rejects.toMatchObject({
      code: Code.FailedPrecondition,
    });
    mkdirSync(inFolder('some'));
    writeFileSync(inFolder('some/b'), '12');
    symlinkSync('/no/where', inFolder('some/a'));
    const { result } = await operations.readFile({ path: 'some' });
    expect(result.case === 'directory' && result.value.entries.map(({ path, size }) => [path, size])).toEqual(
      [
        [inFolder('some/a'), 0n],
        [inFolder('some/b'), 2n],
      ],
    );
  });

  it('are written by mode', async () => {
    const write = (content: string, mode: WriteMode) =>
      operations.writeFile({ path: 'written', content: Buffer.from(content), mode });
    await expect(write('x', WriteMode.TRUNCATE)).rejects.toMatchObject({ code: Code.NotFound });
    await write('one', WriteMode.CREATE);
    await expect(write('x', WriteMode.CREATE)).rejects.toMatchObject({ code: Code.AlreadyExists });
    expect((await write('two', WriteMode.APPEND)).bytesWritten).toBe(3n);
    expect(readFileSync(inFolder('written'), 'utf8')).toBe('onetwo');
    await write('3', WriteMode.TRUNCATE);
    expect(readFileSync(inFolder('written'), 'utf8')).toBe('3');
    await expect(
      operations.writeFile({ path: '/dev/full', content: Buffer.from('x') }),
    ).rejects.toMatchObject({
      code: Code.FailedPrecondition,
    });
  });

  it('are found by name, pattern and letters, nearest first', async () => {
    mkdirSync(inFolder('tree/deep/er'), { recursive: true });
    for (const name of ['tree/main.ts', 'tree/deep/main.test.ts', 'tree/deep/er/other.ts'])
      writeFileSync(inFolder(name), '');
    const find = async (request: Parameters<typeof operations.find>[0]): Promise<string[]> =>
      (await operations.find({ path: 'tree', ...request })).files.map(({ path }) =>
        path.slice(inFolder('tree/').length),
      );
    expect(await find({ pattern: 'main' })).toEqual(['main.ts', 'deep/main.test.ts']);
    expect(await find({ pattern: '*.ts', maxDepth: 1 })).toEqual(['main.ts']);
    expect(await find({ pattern: 'deep/**' })).toEqual(['deep/er', 'deep/main.test.ts', 'deep/er/other.ts']);
    expect(await find({ pattern: 'dpot', fuzzy: true })).toEqual(['deep/er/other.ts']);
    await expect(find({ path: '/no/such' })).rejects.toMatchObject({ code: Code.NotFound });
  });
});

describe('executions', () => {
  it('answer code and both outputs', async () => {
    const command = 'echo out; echo err >&2; exit 5';
    expect(await operations.exec({ command })).toMatchObject({
      exitCode: 5,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  it('are killed when their time is over or somebody cancels them', async () => {
    expect((await operations.exec({ command: 'sleep 1000 & wait', timeoutSeconds: 1 })).exitCode).toBe(137);
    const running = operations.exec({ command: 'touch began; sleep 1000', operationId: 'long' });
    await expect
      .poll(() => operations.find({ pattern: 'began', path: '.' }).then(({ files }) => files.length))
      .toBe(1);
    await operations.cancelExec({ operationId: 'long' });
    expect((await running).exitCode).toBe(137);
    await expect(operations.cancelExec({ operationId: 'long' })).rejects.toMatchObject({
      code: Code.NotFound,
    });
  });
});

describe('terminals', () => {
  it('are opened, written to, left, shown again and closed', async () => {
    const opened = {
      shell: '/bin/sh',
      initialCols: 70,
      initialRows: 20,
      env: { PS1: '' },
      annotations: { by: 'test' },
    };
    const { terminalId } = await operations.createTerminal(opened);
    const seen: Record<string, string> = { replay: '', data: '' };
    const attach = async (until: string): Promise<number | undefined> => {
      const left = new AbortController();
      try {
        for await (const { content } of operations.attachTerminal({ terminalId }, { signal: left.signal })) {
          if (content.case === 'exited') return content.value.exitCode;
          if (content.case === undefined) continue;
          seen[content.case] += Buffer.from(content.value.data).toString();
          if (until !== '' && `${seen['replay']}${seen['data']}`.includes(until)) return undefined;
        }
      } finally {
        left.abort();
      }
      return undefined;
    };
    await operations.writeTerminal({ terminalId, data: Buffer.from('echo "4"2; stty size\n') });
    await attach('20 70');
    seen['replay'] = '';
    await attach('42');
    expect(seen['replay']).toContain('42');
    await operations.resizeTerminal({ terminalId, cols: 99, rows: 9 });
    const [terminal] = (await operations.listTerminals({})).terminals;
    expect(terminal).toMatchObject({ terminalId, cols: 99, rows: 9, annotations: { by: 'test' } });
    const over = attach('');
    await operations.closeTerminal({ terminalId });
    expect(await over).toBe(129);
    expect((await operations.listTerminals({})).terminals).toEqual([]);
  });

  it('that cannot be opened say why', async () => {
    await expect(operations.createTerminal({ shell: '/no/shell' })).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      rawMessage: '/no/shell is not there.',
    });
  });

  it('has no answer yet for the rest', async () => {
    await expect(operations.getDefaultBranch({})).rejects.toMatchObject({ code: Code.Unimplemented });
  });
});
