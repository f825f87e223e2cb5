/** The daemon itself: plane and runner in one process, or one of them. The only place that starts either. */
import { AtelierError, toAtelierError, type ErrorCode } from '@atelier/api';
import { softwareVersion } from '@atelier/api/protocol';
import type { RunningPlane } from '@atelier/plane';
import type { RunningRunner } from '@atelier/runner/main';
import type { System } from '../system.ts';
import { exitCodeOf } from '../exit.ts';
import type { Half, Home } from './home.ts';
import { takeLock } from './lock.ts';
import { limitLog } from './log-file.ts';
import type { DaemonMessage, DaemonOptions } from './message.ts';
import { prepareHome } from './prepare-home.ts';
import { processIdentity, type ProcessIdentity } from './processes.ts';
import { readRecord, writeRecord, type DaemonRecord } from './record.ts';

/** Where a daemon stands. */
export interface DaemonPlace {
  readonly system: System;
  readonly home: Home;
  /** Tells the command that started the daemon; does nothing when nobody listens any more. */
  readonly tell: (message: DaemonMessage) => void;
}

interface RunningHalves {
  plane?: RunningPlane;
  runner?: RunningRunner;
}

/**
 * Runs until SIGTERM or SIGINT and gives the exit code. A second daemon of a half that is running ends at
 * once as `already_exists`, having told `held`.
 */
export async function serveDaemon(place: DaemonPlace, options: DaemonOptions): Promise<number> {
  const { system, home, tell } = place;
  const ending = endingOf(system);
  const running: RunningHalves = {};
  try {
    prepareHome(home);
    for (const half of options.halves) {
      const lock = takeLock(home.lockFolder, half, system.pid);
      if (!lock.taken) return giveWay(place, half, lock.holder);
    }
    const log = limitLog(home.logFile, system.clock);
    await start(place, options, running);
    const writeDown = (): void => writeRecord(home, record);
    const record = recordOf(place, options, running);
    writeDown();
    // A command that cannot read it asks for it.
    system.onSignal('SIGHUP', writeDown);
    tell({ kind: 'ready' });
    await ending;
    log.stop();
    return 0;
  } catch (thrown) {
    const { code, message } = toAtelierError(thrown);
    say(place, 'could not start', code, message);
    tell({ kind: 'failed', code, message });
    return exitCodeOf(code);
  } finally {
    await running.runner?.stop();
    await running.plane?.stop();
  }
}

function giveWay(place: DaemonPlace, half: Half, holder: ProcessIdentity): number {
  const error = `process ${holder.pid} is the ${half} of ${place.home.folder} already; "atelier daemon status" shows it`;
  say(place, 'gives way', 'already_exists', error);
  place.tell({ kind: 'held', holder });
  return exitCodeOf('already_exists');
}

function say({ system }: DaemonPlace, message: string, code: ErrorCode, error: string): void {
  system.stderr.write(`${JSON.stringify({ part: 'daemon', message, code, error })}\n`);
}

function endingOf(system: System): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) system.onSignal(name, resolve);
    // Whoever started the daemon may close its terminal.
    system.onSignal('SIGHUP', () => undefined);
  });
}

async function start(place: DaemonPlace, options: DaemonOptions, running: RunningHalves): Promise<void> {
  const { home } = place;
  const before = readRecord(home, 'plane');
  if (options.halves.includes('runner')) {
    const { requireDriver } = await import('@atelier/runner/main');
    requireDriver(options.driverName);
  }
  if (options.halves.includes('plane')) {
    running.plane = await step(place, 'database and management plane', async () => {
      const { startPlane } = await import('@atelier/plane');
      const { databaseUrl } = options;
      return onPort(options.port, before?.url, (port) =>
        startPlane({ home: home.folder, port, databaseUrl }),
      );
    });
  }
  if (options.halves.includes('runner')) {
    const planeUrl = running.plane?.url ?? before?.url ?? '';
    const tokenFile = running.plane?.runnerTokenFile ?? before?.runnerTokenFile ?? '';
    if (planeUrl === '') {
      const message = 'this home has no management plane yet; start one with "atelier daemon start --plane"';
      throw new AtelierError('failed_precondition', message);
    }
    running.runner = await step(place, 'runner', async () => {
      const { startRunner } = await import('@atelier/runner/main');
      const { driverName, inheritsHost } = options;
      const gatewayUrl = readRecord(home, options.halves.includes('plane') ? 'plane' : 'runner')?.gatewayUrl;
      return onPort(undefined, gatewayUrl, (gatewayPort) =>
        startRunner({ home: home.folder, planeUrl, tokenFile, driverName, inheritsHost, gatewayPort }),
      );
    });
  }
}

async function step<T>({ system, tell }: DaemonPlace, label: string, work: () => Promise<T>): Promise<T> {
  const startedAtMs = system.clock.nowMs();
  tell({ kind: 'step', label });
  const result = await work();
  tell({ kind: 'step', label, tookMs: system.clock.nowMs() - startedAtMs });
  return result;
}

/**
 * Opens on the port that was asked for, else on that of the last time, so that clients whose connection broke
 * find it again, and on any free one when somebody else has that.
 */
async function onPort<T>(
  asked: number | undefined,
  lastUrl: string | undefined,
  open: (port: number) => Promise<T>,
): Promise<T> {
  const last = lastUrl && URL.canParse(lastUrl) ? Number(new URL(lastUrl).port) : 0;
  if (asked !== undefined || last === 0) return open(asked ?? 0);
  try {
    return await open(last);
  } catch (thrown) {
    const { code, message } = toAtelierError(thrown);
    if (code !== 'failed_precondition' || !message.includes(`port ${last} `)) throw thrown;
    return open(0);
  }
}

function recordOf({ system }: DaemonPlace, options: DaemonOptions, running: RunningHalves): DaemonRecord {
  const identity = processIdentity(system.pid);
  if (!identity) throw new AtelierError('internal', 'the daemon cannot find its own process in /proc');
  const { plane, runner } = running;
  return {
    ...identity,
    version: softwareVersion,
    options,
    url: plane?.url ?? '',
    tokenFile: plane?.tokenFile ?? '',
    runnerTokenFile: plane?.runnerTokenFile ?? '',
    gatewayUrl: runner?.gatewayUrl ?? '',
    startedAtMs: system.clock.nowMs(),
  };
}
