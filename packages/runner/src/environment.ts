/** What the runner holds in memory about one environment between passes: handles and hints, never truth. */
import type { Clock } from '@atelier/api';
import type { DesiredEnvironment } from '@atelier/api/atelier/runner_link';
import type { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import type { Driver, ImageConfiguration, InstanceLimits, NetworkPolicy } from '@atelier/driver';
import type { EnvironmentDeadlines, EnvironmentRecord } from '@atelier/reconcile';
import { CpuWatch } from './cpu-watch.ts';
import { emptyConfiguration, readConfiguration, type ReadConfiguration } from './configuration.ts';
import type { FoundConfiguration } from './content/configuration-file.ts';
import type { LocalFolders } from './content/local-folder.ts';
import { contentSource, type WorkspacePlace } from './content/source.ts';
import type { SshKeys } from './content/ssh-keys.ts';
import type { RunnerIdentity } from './identity.ts';
import { insideOf, type Inside } from './inside.ts';
import type { Ledger } from './ledger.ts';
import { logBasesOf } from './log-bases.ts';
import type { Logs } from './logs.ts';
import type { RunningSteps } from './running-steps.ts';
import type { RecordStorage } from './storage.ts';
import { SupervisorClient } from './supervisor-client/supervisor-client.ts';

/** What is configured about all environments of a runner. */
export interface EnvironmentSettings {
  readonly deadlines: EnvironmentDeadlines;
  readonly networkPolicy: NetworkPolicy;
  /** Limits where the environment class gives none. */
  readonly limits: InstanceLimits;
  /** Limits of throw-away instances. */
  readonly throwawayLimits: InstanceLimits;
  /** The home of this Atelier: left out of copies of local folders. Empty when there is none. */
  readonly home: string;
}

/** What the steps and passes of all environments of a runner share. */
export interface RunnerParts {
  readonly clock: Clock;
  readonly driver: Driver;
  readonly ledger: Ledger;
  readonly records: RecordStorage;
  readonly logs: Logs;
  readonly localFolders: LocalFolders;
  readonly sshKeys: SshKeys;
  readonly identity: RunnerIdentity;
  readonly settings: EnvironmentSettings;
  /** Asks for a pass of an environment. */
  readonly wake: (environmentId: string) => void;
}

/** The memory of one environment. Lost with the process, and nothing is lost with it. */
export class EnvironmentMemory {
  readonly environmentId: string;
  readonly steps: RunningSteps;
  /** The supervisor of the main instance, while there is one to wait for. */
  client: SupervisorClient | undefined;
  /** The configuration that the content step saw, for the configuration step right after it. */
  found: FoundConfiguration | undefined;
  /** When a client used the environment, or said that it is in use. */
  lastActiveMs = 0;
  /** The phase of the last status and since when. */
  phase: { readonly name: EnvironmentPhase; readonly sinceMs: number } | undefined;
  /** Since when this process knows the environment to be up. */
  upSinceMs: number | undefined;
  /** Work that has no time of its own: whether the last look saw some, and when it was last seen. */
  work: { readonly goesOn: boolean; readonly seenAtMs: number | undefined } = {
    goesOn: false,
    seenAtMs: undefined,
  };
  readonly cpu = new CpuWatch();
  private readonly parts: RunnerParts;
  private waiters = new Set<() => void>();

  constructor(parts: RunnerParts, environmentId: string, steps: RunningSteps) {
    this.parts = parts;
    this.environmentId = environmentId;
    this.steps = steps;
  }

  /** The client for an instance; that of another instance is given up. */
  clientFor(instanceName: string): SupervisorClient {
    if (this.client?.instanceName === instanceName) return this.client;
    void this.client?.close();
    const { clock, driver, logs, records, wake } = this.parts;
    this.client = new SupervisorClient({
      clock,
      logs,
      instances: driver.instances,
      environmentId: this.environmentId,
      instanceName,
      logBases: (boot) => logBasesOf(records, logs, this.environmentId, boot),
      onChange: () => {
        for (const waiter of this.waiters) waiter();
        wake(this.environmentId);
      },
    });
    return this.client;
  }

  /** Gives the client up, as the instance ends. */
  async forgetClient(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    await client?.close();
  }

  /** Resolves once `holds` is true, looked at now and after each change of the supervisor; or on abort. */
  until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!signal.aborted && !holds()) return;
        this.waiters.delete(look);
        signal.removeEventListener('abort', look);
        resolve();
      };
      this.waiters.add(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });
  }
}

/** Whether the plane has said that this runner belongs to the user who asks. */
export function isLocalRunner(ledger: Ledger): boolean {
  return ledger.welcome()?.local ?? false;
}

/** Where the repository stands when nobody has looked: a spec that is wrong there has the default. */
export function placeBySpec(desired: DesiredEnvironment, isLocal: boolean): WorkspacePlace {
  const spec = desired.environment?.spec;
  try {
    if (spec !== undefined) return { folder: contentSource(spec, isLocal).folder, subfolder: '' };
  } catch {
    // What is wrong is said by the content step.
  }
  return { folder: 'workspace', subfolder: '' };
}

/** What an environment is like inside, with the configuration that this came from. */
export interface LoadedInside {
  readonly inside: Inside;
  readonly read: ReadConfiguration;
}

/** Describes the inside from what was kept for the root layer in use; what cannot be used becomes a warning. */
export async function loadInside(
  parts: RunnerParts,
  desired: DesiredEnvironment,
  record: EnvironmentRecord,
  image: ImageConfiguration | undefined,
): Promise<LoadedInside> {
  const environmentId = desired.environment?.id ?? '';
  const place = placeBySpec(desired, isLocalRunner(parts.ledger));
  const session = record.rootSession ?? '';
  try {
    const kept = await readConfiguration(parts.records, environmentId, session);
    const read = kept ?? emptyConfiguration;
    return { inside: insideOf(read, image, read.place ?? place, environmentId), read };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const read = { ...emptyConfiguration, warnings: [message] };
    return { inside: insideOf(read, image, place, environmentId), read };
  }
}
