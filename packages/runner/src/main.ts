/** Wiring: a runner on this machine's disk, a real driver, a gateway, and a plane to dial. */
import { mkdir, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { sleep, toAtelierError } from '@atelier/api';
import { RunnerCapability } from '@atelier/api/gitpod/runner';
import type { Driver, DriverReport } from '@atelier/driver';
import {
  createOciDriver,
  openHome,
  probeOciMachine,
  requireRoot,
  supervisorsInUse,
} from '@atelier/driver-oci';
import { createSimulatedDriver } from '@atelier/driver-simulated';
import { openEnvironmentGateway } from '@atelier/gateway';
import { defaultDeadlines } from '@atelier/reconcile';
import { buildSupervisorBundle, keepBundles } from '@atelier/supervisor/bundle';
import { machineFolders } from './content/local-folder.ts';
import { keysIn } from './content/ssh-keys.ts';
import { openIdentity } from './identity.ts';
import { openLogStorage } from './log-storage.ts';
import { planeAt, type PlaneAddress } from './plane-link/dial.ts';
import { defaultPlaneLinkSettings, type PlaneLinkState } from './plane-link/plane-link.ts';
import { createRunner, type RunnerSettings } from './runner.ts';
import { openLedgerStorage, openRecordStorage } from './storage.ts';
import { machineMemoryBytes, systemClock, systemRandom, userFolder, writeLog } from './system.ts';

/** The drivers that a runner can be started with. */
export type DriverName = 'oci' | 'simulated';

/** How a runner is started. */
export interface RunnerProcessOptions {
  /** ATELIER_HOME: the folder of all state; made when missing. */
  readonly home: string;
  /** Base URL of the plane without `/api`. */
  readonly planeUrl: string;
  /** Holds the runner's token; read anew for each connection. */
  readonly tokenFile: string;
  readonly driverName: DriverName;
  /** Whether environments get this machine's certificate authorities and proxies; they do unless it is false. */
  readonly inheritsHost?: boolean | undefined;
  /** Where the gateway listens; loopback by default. */
  readonly host?: string;
  /** 0, the default, takes any free port. */
  readonly gatewayPort?: number;
}

/** A runner that runs in this process, with its gateway and its link to the plane. */
export interface RunningRunner {
  readonly runnerId: string;
  /** Base URL of the ways in to its environments. */
  readonly gatewayUrl: string;
  /** How it stands with its plane. */
  planeState(): PlaneLinkState;
  /** Ends the runner. Environments run on. */
  stop(): Promise<void>;
}

/** What `doctor` shows about a runner that need not run. */
export interface RunnerDescription {
  readonly driverName: DriverName;
  readonly report: DriverReport;
  /** Environments that anything is written down about in this home. */
  readonly environmentIds: readonly string[];
}

/**
 * Starts the runner. At its very first start it needs the plane, to learn its id; later it starts without.
 * Errors: those of the driver, of `openLedger`, and `unauthenticated` or `permission_denied` for the token.
 */
export async function startRunner(options: RunnerProcessOptions): Promise<RunningRunner> {
  const folder = join(options.home, 'runner');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const plane = planeAt(options.planeUrl, options.tokenFile);
  const identity = await openIdentity(join(folder, 'identity.json'), () => askPatiently(plane));
  const { driver, collect } = await openDriver(options);
  let gatewayUrl = '';
  const runner = createRunner({
    clock: systemClock,
    random: systemRandom,
    driver,
    ledger: openLedgerStorage(join(folder, 'ledger.json')),
    records: openRecordStorage(join(folder, 'environments')),
    logs: openLogStorage(join(folder, 'environments')),
    localFolders: machineFolders,
    sshKeys: keysIn(join(userFolder(), '.ssh')),
    dial: plane.dial,
    identity,
    settings: settingsFor(await realpath(options.home)),
    capabilities: [RunnerCapability.DEFAULT_DEV_CONTAINER_IMAGE],
    gatewayUrl: () => gatewayUrl,
    report: (message) => writeLog(message),
    collect,
    onOutcome({ key, outcome }) {
      if (outcome.kind === 'retry') {
        const { code, message } = toAtelierError(outcome.error);
        writeLog('a pass failed and is made again', { environmentId: key, code, error: message });
      }
      if (outcome.kind === 'failed') writeLog(outcome.reason, { environmentId: key });
    },
  });
  const gateway = await openEnvironmentGateway({
    access: runner.access,
    tokenPublicKey: () => runner.tokenPublicKey(),
    clock: systemClock,
    host: options.host ?? '127.0.0.1',
    port: options.gatewayPort ?? 0,
  });
  gatewayUrl = gateway.url;
  await runner.start();
  return {
    runnerId: identity.runnerId,
    gatewayUrl,
    planeState: () => runner.planeState(),
    async stop() {
      await gateway.close();
      await runner.stop();
      plane.close();
      await driver.close();
    },
  };
}

/**
 * Refuses at once a driver that can never work for this user, so that nothing is started in vain.
 * Errors: `failed_precondition` with what to do.
 */
export function requireDriver(driverName: DriverName): void {
  if (driverName === 'oci') requireRoot();
}

type DriverOptions = Pick<RunnerProcessOptions, 'home' | 'driverName' | 'inheritsHost'>;

/**
 * Looks at the machine as the runner would, without a plane; the runner of the home may run meanwhile. Makes the
 * folders of the home where they are missing, and nothing else that stays.
 */
export async function describeRunner(options: DriverOptions): Promise<RunnerDescription> {
  const report =
    options.driverName === 'simulated' ? await simulated().probe() : await probeOciMachine(options);
  const records = openRecordStorage(join(options.home, 'runner', 'environments'));
  return { driverName: options.driverName, report, environmentIds: await records.list() };
}

interface OpenedDriver {
  readonly driver: Driver;
  /** Takes away the supervisors of other versions that nothing runs on any more. */
  readonly collect?: () => Promise<void>;
}

async function openDriver({ home, driverName, inheritsHost }: DriverOptions): Promise<OpenedDriver> {
  if (driverName === 'simulated') return { driver: simulated() };
  const bundles = join(home, 'supervisor');
  const supervisor = await buildSupervisorBundle(bundles);
  const driver = await createOciDriver({ home, supervisor, clock: systemClock, inheritsHost });
  const opened = openHome(home);
  const present = basename(supervisor.folder);
  return { driver, collect: () => keepBundles(bundles, [present, ...supervisorsInUse(opened)]) };
}

function simulated(): Driver {
  return createSimulatedDriver({ clock: systemClock, random: systemRandom });
}

const askMsMax = 60_000;

/** On a laptop plane and runner start together, so the first answer may take a moment. */
async function askPatiently(plane: PlaneAddress): Promise<string> {
  const endMs = systemClock.nowMs() + askMsMax;
  for (;;) {
    try {
      return await plane.askRunnerId();
    } catch (thrown) {
      const error = toAtelierError(thrown);
      if (error.code !== 'unavailable' || systemClock.nowMs() > endMs) throw error;
      await sleep(systemClock, 250);
    }
  }
}

function settingsFor(home: string): RunnerSettings {
  const memoryBytesMax = Math.floor(machineMemoryBytes() / 2);
  return {
    deadlines: defaultDeadlines,
    networkPolicy: { egress: 'internet', privateRanges: false },
    limits: { cpuWeight: 100, memoryBytesMax, processesMax: 8192 },
    throwawayLimits: { cpuWeight: 50, memoryBytesMax, processesMax: 4096 },
    home,
    link: defaultPlaneLinkSettings,
    reportIntervalMs: 200,
    garbageIntervalMs: 60_000,
    concurrency: 16,
    backoff: { initialMs: 500, maxMs: 30_000 },
  };
}
