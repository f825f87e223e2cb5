/** The daemon itself: plane and runner in one process, or one of them. The only place that starts either. */
import { AtelierError, toAtelierError } from '@atelier/api';
import { softwareVersion } from '@atelier/api/protocol';
import type { RunningPlane } from '@atelier/plane';
import type { RunningRunner } from '@atelier/runner/main';
import type { System } from '../system.ts';
import type { Home } from './home.ts';
import { takeLock } from './lock.ts';
import { limitLog } from './log-file.ts';
import type { DaemonMessage, DaemonOptions } from './message.ts';
import { prepareHome } from './prepare-home.ts';
import { processIdentity } from './processes.ts';
import { readRecord, writeRecord } from './record.ts';

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
 * once and successfully, having told `held`.
 */
export async function serveDaemon(place: DaemonPlace, options: DaemonOptions): Promise<number> {
  const { system, home, tell } = place;
  const ending = endingOf(system);
  const running: RunningHalves = {};
  try {
    prepareHome(home);
    for (const half of options.halves) {
      if (takeLock(home.lockFolder, half, system.pid).taken) continue;
      tell({ kind: 'held' });
      return 0;
    }
    const log = limitLog(home.logFile, system.clock);
    await start(place, options, running);
    writeDown(place, options, running);
    tell({ kind: 'ready' });
    await ending;
    log.stop();
    return 0;
  } catch (thrown) {
    const { code, message } = toAtelierError(thrown);
    system.stderr.write(
      `${JSON.stringify({ part: 'daemon', message: 'could not start', code, error: message })}\n`,
    );
    tell({ kind: 'failed', code, message });
    return 1;
  } finally {
    await running.runner?.stop();
    await running.plane?.stop();
  }
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
      const { driverName } = options;
      const gatewayUrl = readRecord(home, options.halves.includes('plane') ? 'plane' : 'runner')?.gatewayUrl;
      return onPort(undefined, gatewayUrl, (gatewayPort) =>
        startRunner({ home: home.folder, planeUrl, tokenFile, driverName, gatewayPort }),
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

function writeDown({ system, home }: DaemonPlace, options: DaemonOptions, running: RunningHalves): void {
  const identity = processIdentity(system.pid);
  if (!identity) throw new AtelierError('internal', 'the daemon cannot find its own process in /proc');
  const { plane, runner } = running;
  writeRecord(home, {
    ...identity,
    version: softwareVersion,
    options,
    url: plane?.url ?? '',
    tokenFile: plane?.tokenFile ?? '',
    runnerTokenFile: plane?.runnerTokenFile ?? '',
    gatewayUrl: runner?.gatewayUrl ?? '',
    startedAtMs: system.clock.nowMs(),
  });
}
