/**
 * What the life-cycle plan of one environment reads and what it answers. A pass of the runner's loop
 * observes everything anew, calls `planEnvironment(desired, observed, deadlines, nowMs)`, writes the record
 * as `applyChange` gives it, starts the planned steps that do not run yet, aborts those that run and are not
 * planned any more, and passes again when a step ends (its end goes into the record by `recordSuccess` or
 * `recordFailure`), when something is reported, and at `wakeAtMs`.
 *
 * The steps, in the order of a first start (each has one file `runner/src/steps/<name>-step.ts`):
 *   disk          the disk exists (empty workspace)
 *   content       a throw-away instance clones or copies the repository into the workspace
 *   configuration the dev container and automations files are read (in the throw-away instance)
 *   image         the image is here and pinned
 *   root          a root layer of the record's generation lies on that image
 *   network       the attachment exists
 *   instance      PID 1 runs
 *   supervisor    its link is up and it has the desired state (life-cycle commands, automations)
 *   lifecycle     waits until the supervisor reports that the commands to be waited for have ended; what
 *                 counts is the report, not how the step ends
 * and of the way back:
 *   shutdown      the supervisor ends what runs inside, in order
 *   stop          the instance is stopped and removed
 *   release       what the step's `release` names is removed: the network of a stopped environment, root
 *                 layers that a rebuild left behind, on deletion everything
 * A step that is planned while an aborted one of the same name has not ended yet waits for its end. An aborted
 * step stays in `running` until it has ended and is never written down.
 * A step's end never decides alone: the next pass looks again. Throw-away instances of an earlier process
 * that a step needs out of its way are removed by that step; the rest is for the garbage plan.
 */

/** Names of the steps of an environment's life, forth and back. */
export const stepNames = [
  'disk',
  'content',
  'configuration',
  'image',
  'root',
  'network',
  'instance',
  'supervisor',
  'lifecycle',
  'shutdown',
  'stop',
  'release',
] as const;

/** The name of one of the steps above. */
export type StepName = (typeof stepNames)[number];

/** What is wished for one environment, taken from its spec. */
export interface EnvironmentDesired {
  readonly environmentId: string;
  readonly phase: 'running' | 'stopped' | 'deleted';
  /** A new value means: start the machine again (stop it first when it runs). */
  readonly machineSession: string;
  /** A new value means: make the content again. */
  readonly contentSession: string;
  /** A new value means: read the configuration again and make a new root layer (rebuild). */
  readonly devcontainerSession: string;
  /** Whether there is content to make at all; without it the workspace stays empty. */
  readonly hasContent: boolean;
}

/** How one step fared so far, kept until it succeeds for its session or its session changes. */
export interface StepFailure {
  /** The session (or boot) that the attempts were for. */
  readonly session: string;
  readonly attempts: number;
  /** When the first attempt that failed began. */
  readonly firstFailedAtMs: number;
  readonly lastFailedAtMs: number;
  readonly message: string;
  /** Trying again cannot help until something changes. */
  readonly final: boolean;
}

/**
 * What the runner wrote down about one environment (state.json): the facts that no driver can tell. Every
 * value is either done for a session or absent, so that losing the last write means doing a step again.
 */
export interface EnvironmentRecord {
  /** Content session whose content is whole in the workspace. */
  readonly contentSession?: string | undefined;
  /** What is missing of that content, for a person; absent when nothing is. */
  readonly contentWarning?: string | undefined;
  /** Dev container session whose configuration was read. */
  readonly configurationSession?: string | undefined;
  /** Dev container session for which `imageDigest` was resolved. */
  readonly imageSession?: string | undefined;
  readonly imageDigest?: string | undefined;
  /** The root layer in use; grows with each rebuild. 0 before the first. */
  readonly generation: number;
  /** Dev container session that the root layer was made for. */
  readonly rootSession?: string | undefined;
  /** The image that the root layer lies on. */
  readonly rootDigest?: string | undefined;
  /**
   * The last root layer of a dev container on which the environment was up. It stays while the environment is in
   * recovery, since it holds what its user made outside of the workspace.
   */
  readonly soundGeneration?: number | undefined;
  /** Machine session of the present or last run. */
  readonly machineSession?: string | undefined;
  /**
   * Name of the present run of PID 1; a new one with each start, written before the start. Absent before the
   * first and after a stop.
   */
  readonly boot?: string | undefined;
  /** How many boots were named so far: the next one is `boot-<boots + 1>`. */
  readonly boots: number;
  /** The boot whose PID 1 did start; differs from `boot` while a start is still to be made. */
  readonly launchedBoot?: string | undefined;
  /** The last boot that was fully up, with what it was up for; absent after the environment was stopped. */
  readonly ready?:
    | {
        readonly boot: string;
        readonly machineSession: string;
        readonly contentSession: string;
        readonly devcontainerSession: string;
      }
    | undefined;
  /**
   * Life-cycle commands that run once per dev container and have succeeded in this session, each with the boot
   * in which it did: later boots do not run it again.
   */
  readonly lifecycleDone?:
    | { readonly session: string; readonly boots: Readonly<Record<string, string>> }
    | undefined;
  /** How often PID 1 ended by itself since `sinceMs`, and how it ended last. */
  readonly falls?: { readonly count: number; readonly sinceMs: number; readonly end: string } | undefined;
  /**
   * The dev container of this session failed: why. Without a root layer for that session the environment goes
   * on with the base image; with one (a life-cycle command failed) it stays on it.
   */
  readonly recovery?: { readonly session: string; readonly message: string } | undefined;
  /** The runner itself decided to stop the environment (idle), until the desired phase says so too. */
  readonly idleStop?: { readonly sinceMs: number; readonly reason: string } | undefined;
  /** The environment failed for good in this machine session; it goes to stopped. */
  readonly failure?:
    | { readonly machineSession: string; readonly step: StepName; readonly message: string }
    | undefined;
  readonly failures: Readonly<Partial<Record<StepName, StepFailure>>>;
  /** The goal (phase and sessions) that is being worked for; absent in a record that was just made. */
  readonly goal?: string | undefined;
  /** When the way to the present goal began: the clock of the whole deadline. */
  readonly goalSinceMs: number;
}

/** A step that runs now in the runner, from its memory. */
export interface StepAttempt {
  readonly step: StepName;
  readonly session: string;
  readonly startedAtMs: number;
}

/** What was found on the machine in this pass. */
export interface EnvironmentObserved {
  readonly record: EnvironmentRecord;
  /** The steps that run now: their deadlines count from their start. */
  readonly running: readonly StepAttempt[];
  /** Undefined: no disk. */
  readonly disk?: { readonly generations: readonly number[] } | undefined;
  readonly network: boolean;
  readonly pinnedDigest?: string | undefined;
  /** Whether the pinned image is still here. */
  readonly imagePresent: boolean;
  /** The main instance that was found, whatever its generation. */
  readonly main?:
    | {
        readonly name: string;
        readonly generation: number;
        readonly state: 'running' | 'ended';
        readonly end?: string | undefined;
      }
    | undefined;
  /** Names of throw-away instances of which anything is left: the instance, or the pin of its image. */
  readonly throwaway: readonly string[];
  /** The supervisor's link and what it says; undefined while there is no link. */
  readonly supervisor?:
    | {
        readonly boot: string;
        /** The desired state that was last applied is the present one. */
        readonly applied: boolean;
        /** What the commands to be waited for are doing. */
        readonly lifecycle: 'none' | 'running' | 'succeeded' | 'failed';
        readonly lifecycleMessage?: string | undefined;
        /** Shutdown was asked for and has ended. */
        readonly shutDown: boolean;
      }
    | undefined;
}

/** Deadlines in milliseconds: per step, and for the whole way to each goal. */
export interface EnvironmentDeadlines {
  readonly steps: Readonly<Record<StepName, number>>;
  /** How long a supervisor that was up may be without a link before the environment counts as failed. */
  readonly linkLostMs: number;
  /** How long a shutdown may take when the environment is deleted: there is nothing to save. */
  readonly deletedShutdownMs: number;
  readonly startMs: number;
  readonly stopMs: number;
  readonly deleteMs: number;
}

/** Something that a release step takes away. What is gone already is success. */
export type ReleaseTarget =
  | { readonly kind: 'network' }
  | { readonly kind: 'generation'; readonly generation: number }
  | { readonly kind: 'disk' }
  | { readonly kind: 'pin' };

/**
 * A step to run now. The runner runs the steps of one plan in parallel and passes again after each. A step
 * that runs already (same `step` and `session`) is left alone.
 */
export interface PlannedStep {
  readonly step: StepName;
  /** The session (or boot) the step works for: what is written down when it succeeds. */
  readonly session: string;
  /** When the step counts as failed. */
  readonly deadlineMs: number;
  /** Counts from 1. */
  readonly attempt: number;
  /** Root: the layer to make. Instance: the layer to start on. Undefined for the others. */
  readonly generation?: number | undefined;
  /** Image and root: true means the base image instead of what the configuration says. */
  readonly recovery: boolean;
  /** Release: what to take away, in this order. Empty for the others. */
  readonly release: readonly ReleaseTarget[];
}

/** Changes of the record that follow from what was seen, to be written before any step runs. */
export type RecordChange = Partial<Omit<EnvironmentRecord, 'failures'>> & {
  /** Failures of these steps are forgotten. */
  readonly forgetFailures?: readonly StepName[] | undefined;
};

/** What is to be done for one environment now. */
export interface EnvironmentPlan {
  readonly recordChange: RecordChange;
  readonly steps: readonly PlannedStep[];
  /** Look again at this time even if nothing happens: the next deadline or the end of a backoff. */
  readonly wakeAtMs?: number | undefined;
  /** The goal is reached and stays reached: nothing to do until something changes. */
  readonly settled: boolean;
  /** Where the machine stands, from which the status and the phase are made. */
  readonly machine: 'creating' | 'starting' | 'running' | 'stopping' | 'stopped' | 'deleting' | 'deleted';
  /** Where content and dev container stand. */
  readonly content: 'none' | 'initializing' | 'ready' | 'updating' | 'failed';
  readonly devcontainer: 'none' | 'creating' | 'running' | 'stopped' | 'failed';
  /** One sentence: why the environment is where it is, or what is wrong. */
  readonly reason: string;
  /** Non-empty: the environment failed for good and goes to stopped. */
  readonly failureMessage: string;
  /** When the present phase ends at the latest; undefined in a phase that may last. */
  readonly deadlineMs?: number | undefined;
}
