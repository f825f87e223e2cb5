/** Starting, stopping and finding the daemon from a command. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AtelierError, compareVersions, sleep } from '@atelier/api';
import type { System } from '../system.ts';
import type { Half, Home } from './home.ts';
import type { DaemonMessage, DaemonOptions } from './message.ts';
import { prepareHome } from './prepare-home.ts';
import { askToEnd, askToTell, isAlive, type ProcessIdentity } from './processes.ts';
import { lastOptions, runningDaemon, type DaemonRecord } from './record.ts';

/** What starting needs of a command. */
export interface DaemonStarter {
  readonly system: System;
  readonly home: Home;
  /** The version of this command line. */
  readonly version: string;
  /** Says something to the person who waits. */
  readonly note: (text: string) => void;
  /** Shows a step that goes on, or, with its time, one that has ended. */
  readonly step: (label: string, tookMs?: number) => void;
}

/** Both halves on the real driver. */
export const wholeDaemon: DaemonOptions = { halves: ['plane', 'runner'], driverName: 'oci' };

const startMsMax = 120_000;
const stopMsMax = 60_000;
const pollMs = 50;

/** The daemon with the plane, started when it does not run; what is older than this command line is restarted. */
export async function ensureDaemon(starter: DaemonStarter): Promise<DaemonRecord> {
  const { home, note } = starter;
  await restartOlder(starter, wholeDaemon.halves);
  const running = runningDaemon(home, 'plane');
  if (running) return running;
  note('the daemon is not running: starting it');
  const halves: Half[] = runningDaemon(home, 'runner') ? ['plane'] : ['plane', 'runner'];
  const last = lastOptions(home) ?? wholeDaemon;
  return startDaemon(starter, { ...last, halves });
}

/** Restarts each daemon that has one of these halves and is older than this command line. Environments go on. */
export async function restartOlder(starter: DaemonStarter, halves: readonly Half[]): Promise<void> {
  const { home, version, note } = starter;
  for (const half of halves) {
    const running = runningDaemon(home, half);
    if (!running || compareVersions(running.version, version) >= 0) continue;
    note(
      `the daemon is of version ${running.version}, this is ${version}: restarting it, environments go on`,
    );
    await stopDaemon(starter, running);
    await startDaemon(starter, running.options);
  }
}

/**
 * Starts a daemon and waits until it answers; when another one is faster, that one is the daemon. Errors:
 * what the daemon says, and `deadline_exceeded` with where its log is.
 */
export async function startDaemon(starter: DaemonStarter, options: DaemonOptions): Promise<DaemonRecord> {
  const { home, system } = starter;
  prepareHome(home);
  const untilMs = system.clock.nowMs() + startMsMax;
  for (;;) {
    const record = await tryToStart(starter, options, untilMs);
    if (record) return record;
  }
}

/** One process; undefined when it gave way to another one that ended without ever answering. */
async function tryToStart(
  starter: DaemonStarter,
  options: DaemonOptions,
  untilMs: number,
): Promise<DaemonRecord | undefined> {
  const { home, system } = starter;
  const half: Half = options.halves[0] ?? 'plane';
  const child = spawnDaemon(home, options);
  const said = listen(child, starter);
  let asked = false;
  try {
    for (;;) {
      const record = runningDaemon(home, half);
      if (record) return record;
      if (said.failure) throw said.failure;
      if (said.ended && said.holder && !isAlive(said.holder)) return undefined;
      // What it wrote down may have been damaged since.
      if (said.ended && said.holder && !asked) askToTell(said.holder);
      asked = said.ended;
      if (said.ended && !said.holder)
        throw new AtelierError('internal', `the daemon ended at once.${lastLines(home)}`);
      if (system.clock.nowMs() > untilMs) {
        const message = `the daemon did not come up within ${startMsMax / 1000} s; its log is ${home.logFile}`;
        throw new AtelierError('deadline_exceeded', message);
      }
      await sleep(system.clock, pollMs);
    }
  } finally {
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** Ends a daemon and waits until its process is gone. Environments run on. */
export async function stopDaemon({ system, home }: DaemonStarter, record: ProcessIdentity): Promise<void> {
  askToEnd(record);
  const untilMs = system.clock.nowMs() + stopMsMax;
  while (isAlive(record)) {
    if (system.clock.nowMs() > untilMs) {
      const message = `the daemon (process ${record.pid}) does not end; its log is ${home.logFile}`;
      throw new AtelierError('deadline_exceeded', message);
    }
    await sleep(system.clock, pollMs);
  }
}

function spawnDaemon(home: Home, options: DaemonOptions): ChildProcess {
  const log = openSync(home.logFile, 'a', 0o600);
  try {
    // From its sources, also when this is a packed command line: plane and runner share modules with it.
    const main = fileURLToPath(import.meta.resolve('@atelier/cli/main'));
    return spawn(process.execPath, [main, 'daemon', 'serve', home.folder, JSON.stringify(options)], {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      cwd: '/',
    });
  } finally {
    closeSync(log);
  }
}

interface Said {
  failure?: AtelierError;
  /** The process that the daemon gave way to. */
  holder?: ProcessIdentity;
  ended: boolean;
}

function listen(child: ChildProcess, { step }: DaemonStarter): Said {
  const said: Said = { ended: false };
  child.on('message', (message: DaemonMessage) => {
    if (message.kind === 'step') step(message.label, message.tookMs);
    if (message.kind === 'held') said.holder = message.holder;
    if (message.kind === 'failed') said.failure = new AtelierError(message.code, message.message);
  });
  child.on('exit', () => (said.ended = true));
  child.on('error', (cause) => {
    said.failure = new AtelierError('internal', `the daemon cannot be started: ${cause.message}`, { cause });
  });
  return said;
}

const linesShown = 10;

function lastLines(home: Home): string {
  const text = readFileSync(home.logFile, 'utf8').trimEnd();
  return ` The end of ${home.logFile}:\n${text.split('\n').slice(-linesShown).join('\n')}`;
}
