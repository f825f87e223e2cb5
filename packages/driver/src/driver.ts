/**
 * A driver realizes environments on one machine or cluster. It is four small interfaces over one place:
 * images, disks, networks, instances. This file is the manual that holds for all four.
 *
 * Glossary. An *environment* has one *disk* (a writable layer per generation, a workspace and volumes that
 * outlive generations), at most one *network attachment*, and any number of *instances*, each named by
 * `instanceName(environmentId, part, generation)`; the part `main` is the one that the user is in, the
 * others are throw-away instances for content, builds and initializeCommand.
 *
 * Rules for every method.
 * - Idempotent: a second call with the same arguments finds what the first one made and succeeds. A call
 *   whose answer was lost is simply made again. "Already there" and "already gone" are success.
 * - Whole or nothing to a reader: what `list` and `inspect` show is complete; what was half made when the
 *   process was killed is either invisible or finished by the next call, and `remove` takes it away.
 * - Nothing is remembered in memory that `list` cannot find again after a restart of the process.
 * - `remove` works from every state, whatever else failed, and leaves nothing: no mount, process, cgroup,
 *   interface, address, uid range or file.
 * - Errors are AtelierErrors. `not_found`, `invalid_argument`, `failed_precondition` and
 *   `permission_denied` will not go away by themselves; the other codes may, and are tried again.
 * - Long work takes an AbortSignal. An aborted call throws `canceled` and has left only what `remove` or a
 *   second call deals with.
 * - Drivers keep no deadlines of their own for user work: the caller has them.
 *
 * A walk through, for environment E whose image is I:
 *   images.ensure(reference) -> I; images.pin(I, E)
 *   disks.ensure(E, generation 1, I); networks.ensure(E, policy)
 *   instances.start({E, main, 1}); instances.listen(...) -> the supervisor's connection
 *   ... the runner is killed and comes back: instances.list() shows the same process, listen() again ...
 *   instances.stop(E-main-1, grace); instances.remove(E-main-1); networks.remove(E)      [stopped]
 *   disks.remove(E); images.unpin(E)                                                     [deleted]
 */
import type { FieldValue } from '@atelier/api/gitpod/field_value';
import type { DiskDriver } from './disk.ts';
import type { ImageDriver } from './image.ts';
import type { InstanceDriver } from './instance.ts';
import type { NetworkDriver } from './network.ts';

/** What a driver can enforce here. A policy that needs a capability that is missing is refused. */
export interface DriverCapabilities {
  /** Root inside owns nothing outside. */
  readonly userNamespaces: boolean;
  /** CPU weight between environments. */
  readonly cpuWeight: boolean;
  /** A ceiling for memory, with a kill inside the environment beyond it. */
  readonly memoryLimit: boolean;
  /** A ceiling for the number of processes. */
  readonly processLimit: boolean;
  /** Environments cannot reach each other or the host, and cannot send with a foreign address. */
  readonly networkIsolation: boolean;
  /** Images can be built from a Dockerfile. */
  readonly imageBuild: boolean;
}

/** What a driver found on its machine: capabilities, and a sentence for each thing a person should know. */
export interface DriverReport {
  readonly capabilities: DriverCapabilities;
  /** Key such as `cgroup` and a sentence; shown by `doctor` and as runner conditions. */
  readonly conditions: FieldValue[];
  /** Why no environment can run here at all; empty when one can. Each says what to do. */
  readonly problems: readonly string[];
}

/** One place where environments can run. */
export interface Driver {
  /** Name of the implementation, such as `oci`. */
  readonly name: string;
  readonly images: ImageDriver;
  readonly disks: DiskDriver;
  readonly networks: NetworkDriver;
  readonly instances: InstanceDriver;
  /** Looks at the machine by trying things, not by inferring them. Changes nothing that stays. */
  probe(): Promise<DriverReport>;
  /** Gives up connections and watches. Environments run on. */
  close(): Promise<void>;
}
