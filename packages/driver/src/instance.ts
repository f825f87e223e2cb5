/**
 * Instances: running supervisors. Read `driver.ts` first.
 *
 * An instance is a process tree whose PID 1 runs our supervisor, on a root layer of a disk (or, for a
 * throw-away instance, on a disposable layer over an image), under the limits that were given. It goes on
 * when the runner is killed. What happened to it is read from the machine, never from memory: there is no
 * monitor process.
 */
import type { Transport } from '@connectrpc/connect';

/** Ceilings and weights of an environment's instances, from its class. One that is left out does not hold. */
export interface InstanceLimits {
  /** Share of the CPU against other environments, 1 to 10000, 100 is ordinary. */
  readonly cpuWeight?: number | undefined;
  readonly memoryBytesMax?: number | undefined;
  readonly processesMax?: number | undefined;
}

/** Limits that cannot be enforced, each with a sentence that says why and what to do. */
export type UnenforceableLimits = Readonly<Partial<Record<keyof InstanceLimits, string>>>;

/** A folder of the disk, or a folder or file of the host, that is seen inside. */
export type InstanceMount =
  /** The workspace of the environment's disk. */
  | { readonly kind: 'workspace'; readonly target: string }
  /** A folder or file of the host, read-only, with the ids of its files shown as if they were this environment's. */
  | { readonly kind: 'host-read-only'; readonly source: string; readonly target: string };

/** Everything that is needed to start an instance. */
export interface InstanceStart {
  /** `instanceName(environmentId, part, generation)`. */
  readonly name: string;
  readonly environmentId: string;
  /** `disk`: the root layer of that generation. `image`: a disposable layer that goes with the instance. */
  readonly root:
    | { readonly kind: 'disk'; readonly generation: number }
    | { readonly kind: 'image'; readonly digest: string };
  readonly mounts: readonly InstanceMount[];
  /** Whether the environment's network attachment is used; `none` has a loopback only. */
  readonly network: 'attached' | 'none';
  /** Variables of PID 1; the driver adds what the supervisor needs to find its socket. */
  readonly environment: Readonly<Record<string, string>>;
  readonly hostname: string;
  readonly limits: InstanceLimits;
}

/** Why an instance does not run any more. */
export type InstanceEnd = 'exited' | 'killed' | 'out-of-memory' | 'unknown';

/** An instance as found on the machine. */
export interface Instance {
  readonly name: string;
  readonly state: 'running' | 'ended';
  /** PID 1 as the host sees it, with its start time, so that a reused pid is not mistaken; only while running. */
  readonly process?: { readonly pid: number; readonly startTime: string } | undefined;
  /** Only when ended. */
  readonly end?: InstanceEnd | undefined;
}

/** Counters of an instance, for status and idleness. */
export interface InstanceUsage {
  readonly cpuUsageMs: number;
  readonly memoryBytes: number;
  readonly processes: number;
}

/**
 * A connection to the supervisor of an instance: a Connect transport on which the runner calls
 * SupervisorService, ProcessService, PortService and EnvironmentOpsService. Not to be trusted: the other
 * end is root inside.
 */
export interface SupervisorLink {
  readonly transport: Transport;
  /** Resolves when the connection is gone, whoever ended it. Never rejects. */
  readonly closed: Promise<void>;
  /** Ends the connection; calls on it that have not ended fail with `unavailable`. */
  close(): void;
}

/** Something that is given up by `close`. */
export interface Closeable {
  close(): Promise<void>;
}

/** Instances of one driver. */
export interface InstanceDriver {
  /** All instances of this home, the ended ones that were not removed too. Cost: one look at the machine. */
  list(): Promise<Instance[]>;
  inspect(name: string): Promise<Instance | undefined>;
  /**
   * Starts PID 1 and returns when it runs; the supervisor answers a little later on its link. A second call
   * while it runs returns it as it is. An ended instance of the same name is removed and started anew.
   * Errors: `not_found` (disk, generation or image), `failed_precondition` (no such capability here, a limit
   * that `unenforceable` names included), `resource_exhausted`.
   */
  start(start: InstanceStart): Promise<Instance>;
  /**
   * Ends an instance: SIGTERM to PID 1, after `graceMs` SIGKILL to everything in it. Returns when nothing of
   * it runs. One that has ended or never was: success.
   */
  stop(name: string, graceMs: number): Promise<void>;
  /** Takes an instance away, killing it first when it runs. Its disk and network stay. */
  remove(name: string): Promise<void>;
  /**
   * Calls `onLink` with each connection that the supervisor of this instance makes, from now on: the first
   * one after its start, another after each loss. Only the newest is alive. May be called before `start`
   * and after a restart of this process. The bytes are not to be trusted.
   */
  listen(name: string, onLink: (link: SupervisorLink) => void): Promise<Closeable>;
  /** Counters of a running instance, undefined when it does not run. */
  usage(name: string): Promise<InstanceUsage | undefined>;
  /** Which of these limits `start` would refuse here. Costs nothing: the machine was looked at before. */
  unenforceable(limits: InstanceLimits): UnenforceableLimits;
}
