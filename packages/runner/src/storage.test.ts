import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@atelier/api/system';
import { DesiredChangeSchema } from '@atelier/api/atelier/runner_link';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLedger } from './ledger.ts';
import { openLogStorage } from './log-storage.ts';
import { createLogs, isLogName } from './logs.ts';
import { openLedgerStorage, openRecordStorage } from './storage.ts';

const runnerId = '0190bbbb-0000-7000-8000-000000000001';
const id = '0190dddd-0000-7000-8000-000000000001';
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atelier-runner-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the ledger on disk', () => {
  const path = (): string => join(folder, 'runner/ledger.json');

  it('is found again as it was', async () => {
    const ledger = await openLedger(openLedgerStorage(path()), runnerId);
    const desired = { environment: { id, metadata: { name: 'one' } } };
    await ledger.apply(create(DesiredChangeSchema, { revision: 7n, whole: true, environments: [desired] }));
    const again = await openLedger(openLedgerStorage(path()), runnerId);
    expect(again.revision()).toBe(7n);
    expect(again.get(id)?.desired.environment?.metadata?.name).toBe('one');
    expect(readdirSync(join(folder, 'runner'))).toEqual(['ledger.json']);
  });

  it('of version 1 is read', async () => {
    const text = readFileSync(join(import.meta.dirname, 'testdata/ledger-v1.json'), 'utf8');
    const storage = openLedgerStorage(path());
    await storage.write(text);
    const ledger = await openLedger(storage, runnerId);
    expect(ledger.problem).toBeUndefined();
    expect(ledger.revision()).toBe(42n);
    // Nobody knows whether both sides knew all fields: the whole set is asked for again.
    expect(ledger.resumeRevision()).toBe(0n);
    expect(ledger.welcome()?.leaseEpoch).toBe(3n);
    expect(ledger.get(id)).toMatchObject({ unnamed: false });
    expect(ledger.get('0190dddd-0000-7000-8000-000000000002')).toMatchObject({ unnamed: true });
  });

  it('with fields and values of a newer build is read without them', async () => {
    const text = readFileSync(join(import.meta.dirname, 'testdata/ledger-v1.json'), 'utf8');
    const storage = openLedgerStorage(path());
    const newer = text
      .replace('"local": true', '"local": true, "later": 1')
      .replace('"ENVIRONMENT_PHASE_RUNNING"', '"ENVIRONMENT_PHASE_LATER"');
    await storage.write(newer.replace('"metadata": {', '"later": { "more": [1] }, "metadata": {'));
    const ledger = await openLedger(storage, runnerId);
    expect(ledger.problem).toBeUndefined();
    expect(ledger.get(id)?.desired.environment?.metadata?.name).toBe('one');
  });

  it('that is torn is set aside, twice if need be, and never overwritten', async () => {
    for (const text of ['{"version":', '{"version":1,"runnerId":"x']) {
      await openLedgerStorage(path()).write(text);
      const ledger = await openLedger(openLedgerStorage(path()), runnerId);
      expect(ledger.problem).toContain('unreadable');
    }
    const kept = [1, 2].map((count) => readFileSync(`${path()}.unreadable-${count}`, 'utf8'));
    expect(kept).toEqual(['{"version":', '{"version":1,"runnerId":"x']);
  });

  it('takes no older revision', async () => {
    const ledger = await openLedger(openLedgerStorage(path()), runnerId);
    await ledger.apply(create(DesiredChangeSchema, { revision: 7n, whole: true }));
    const older = create(DesiredChangeSchema, { revision: 6n, environments: [{ environment: { id } }] });
    expect(await ledger.apply(older)).toEqual([]);
    expect(ledger.get(id)).toBeUndefined();
  });
});

describe('records on disk', () => {
  it('are listed by their ids, and what is left half written is not seen', async () => {
    const records = openRecordStorage(folder);
    await records.write(id, 'state', '{}');
    writeFileSync(join(folder, id, 'state.json.new'), 'half');
    writeFileSync(join(folder, 'foreign'), '');
    expect(await records.list()).toEqual([id]);
    expect(await records.read(id, 'state')).toBe('{}');
    await records.remove(id);
    expect(await records.list()).toEqual([]);
    await records.remove(id);
  });

  it('take no id that is a path', async () => {
    await expect(openRecordStorage(folder).write('../x', 'state', '')).rejects.toMatchObject({
      code: 'invalid_argument',
    });
  });
});

describe('logs', () => {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  const service = `service/${id}`;

  it.each([
    '../x',
    'service/../x',
    'service/x',
    'task/x',
    'lifecycle/a/b',
    'step/',
    'x',
    '',
    'step/a@1',
    `task/${id}/..`,
  ])('%j is no name of a log', (name) => expect(isLogName(name)).toBe(false));

  it('resume at their length, skip what is there, and drop the oldest part at the limit', async () => {
    const logs = createLogs(openLogStorage(folder, 10), systemClock);
    const add = (offset: number, data: string) => logs.append(id, service, offset, Buffer.from(data));
    await add(0, 'abcdef');
    await add(4, 'efgh');
    expect(await logs.length(id, service)).toBe(8);
    await add(8, 'ijklmn');
    await add(14, 'opqrst');
    await add(30, 'later');
    const read = async (offset: number) => {
      let all = '';
      const follow = logs.follow(id, service, offset, () => false, new AbortController().signal);
      for await (const part of follow) all += text(part);
      return all;
    };
    expect(await read(0)).toBe('opqrstlater');
    expect(await read(31)).toBe('ater');
    expect(await logs.names(id)).toEqual([service]);
    await logs.remove(id);
    expect(await logs.names(id)).toEqual([]);
  });

  it('are followed while they are written', async () => {
    const logs = createLogs(openLogStorage(folder), systemClock);
    let live = true;
    let all = '';
    await logs.line(id, 'step/image', 'one');
    for await (const part of logs.follow(id, 'step/image', 0, () => live, new AbortController().signal)) {
      all += text(part);
      if (all === 'one\n') await logs.line(id, 'step/image', 'two');
      else live = false;
    }
    expect(all).toBe('one\ntwo\n');
  });
});
