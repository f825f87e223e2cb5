import {
  mkdtempSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  appendFileSync,
  readFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homeOf } from './home.ts';
import { lockHolder, takeLock } from './lock.ts';
import { prepareHome } from './prepare-home.ts';
import { rotateLog } from './log-file.ts';
import { lastOptions, readRecord, runningDaemon, writeRecord, type DaemonRecord } from './record.ts';
import { processIdentity } from './processes.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'atelier-home-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const place = (variables: Record<string, string>, isRoot = false) => ({
  variable: (name: string) => variables[name],
  isRoot,
  userHome: '/home/ada',
  workingFolder: '/tmp',
});
const at = (path: string) => homeOf(place({ ATELIER_HOME: path }));

describe('homeOf', () => {
  it.each([
    [{}, false, '/home/ada/.local/share/atelier'],
    [{ XDG_DATA_HOME: '/data' }, false, '/data/atelier'],
    [{}, true, '/var/lib/atelier'],
    [{ ATELIER_HOME: '/srv/a', XDG_DATA_HOME: '/data' }, true, '/srv/a'],
    [{ ATELIER_HOME: 'relative' }, false, '/tmp/relative'],
  ])('%j, root %s: %s', (variables, isRoot, expected) => {
    expect(homeOf(place(variables as Record<string, string>, isRoot)).folder).toBe(expected);
  });
});

describe('prepareHome', () => {
  it('makes what is missing', () => {
    prepareHome(at(join(folder, 'a/b')));
    expect(statSync(join(folder, 'a/b/locks')).isDirectory()).toBe(true);
  });

  it.each([
    ['file', 'there is a file of that name'],
    ['file/below', 'a part of the path is a file'],
    [`${'x'.repeat(300)}`, 'its path is too long'],
    ['new\nline', 'its path has a control character'],
    ['/proc/below', 'no folder can be made there'],
  ])('refuses %s with words', (path, why) => {
    writeFileSync(join(folder, 'file'), '');
    const home = at(resolve(folder, path));
    const message = `the home ${JSON.stringify(home.folder).slice(1, -1)} cannot be used: ${why}. Set ATELIER_HOME to another folder.`;
    expect(() => prepareHome(home)).toThrow(
      expect.objectContaining({ code: 'failed_precondition', message }) as Error,
    );
  });
});

describe('the record of a daemon', () => {
  const record = (halves: DaemonRecord['options']['halves'], pid = process.pid): DaemonRecord => ({
    pid,
    startTime: processIdentity(process.pid)?.startTime ?? '',
    version: '1.2.3',
    url: 'http://127.0.0.1:1',
    tokenFile: '/t',
    runnerTokenFile: '/r',
    gatewayUrl: '',
    startedAtMs: 5,
    options: { halves, driverName: 'simulated' },
  });

  it('counts while its process runs', () => {
    const home = at(folder);
    expect(runningDaemon(home, 'plane')).toBeUndefined();
    writeRecord(home, record(['plane', 'runner']));
    expect(runningDaemon(home, 'plane')?.url).toBe('http://127.0.0.1:1');
    expect(runningDaemon(home, 'runner')?.pid).toBe(process.pid);
    writeRecord(home, record(['plane']));
    expect(runningDaemon(home, 'runner')).toBeUndefined();
    writeRecord(home, record(['runner']));
    expect(runningDaemon(home, 'runner')?.pid).toBe(process.pid);
    writeRecord(home, { ...record(['plane']), startTime: '1' });
    expect(runningDaemon(home, 'plane')).toBeUndefined();
    expect(readRecord(home, 'plane')?.version).toBe('1.2.3');
  });

  it.each(['', 'null', '[]', '{}', '{ "pid": 1 }', '{ "pid": 1, "startTi'])(
    'counts as none when it is %j',
    (text) => {
      const home = at(folder);
      writeFileSync(home.recordFile('plane'), text);
      expect(readRecord(home, 'plane')).toBeUndefined();
      expect(runningDaemon(home, 'plane')).toBeUndefined();
    },
  );

  it('is not needed to know the process: its lock tells', () => {
    const { lockFolder } = at(folder);
    expect(lockHolder(lockFolder, 'plane')).toBeUndefined();
    prepareHome(at(folder));
    expect(lockHolder(lockFolder, 'plane')).toBeUndefined();
    takeLock(lockFolder, 'plane', process.pid);
    expect(lockHolder(lockFolder, 'plane')).toEqual(processIdentity(process.pid));
    expect(lockHolder(lockFolder, 'runner')).toBeUndefined();
  });
});

describe('the settings of the last start', () => {
  it('are those of the newer record, whichever half it has', () => {
    const home = at(folder);
    expect(lastOptions(home)).toBeUndefined();
    const started = (
      half: 'plane' | 'runner',
      startedAtMs: number,
      inheritsHost?: boolean,
    ): DaemonRecord => ({
      pid: 1,
      startTime: '',
      version: '1.2.3',
      url: '',
      tokenFile: '',
      runnerTokenFile: '',
      gatewayUrl: '',
      startedAtMs,
      options: { halves: [half], driverName: 'oci', inheritsHost },
    });
    writeRecord(home, started('runner', 1));
    writeRecord(home, started('plane', 2, false));
    expect(lastOptions(home)?.inheritsHost).toBe(false);
    writeRecord(home, started('runner', 3, true));
    expect(lastOptions(home)?.inheritsHost).toBe(true);
  });
});

describe('rotateLog', () => {
  it('cuts a log that is too large where it is, so that open files go on', () => {
    const path = join(folder, 'daemon.log');
    rotateLog(path, 10);
    writeFileSync(path, 'a'.repeat(10));
    rotateLog(path, 10);
    expect(statSync(path).size).toBe(10);
    appendFileSync(path, 'b');
    rotateLog(path, 10);
    expect(statSync(path).size).toBe(0);
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('aaaaaaaaaab');
    truncateSync(path, 0);
  });
});
