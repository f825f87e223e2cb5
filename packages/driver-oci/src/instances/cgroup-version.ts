/** What differs between the two versions of cgroups: where things are and what they are called. */
import type { InstanceLimits, InstanceUsage, UnenforceableLimits } from '@atelier/driver';

/** A limit as a file: what is written, and what may be read back. */
export interface LimitFile {
  /** Hierarchy that the file is in. */
  readonly hierarchy: string;
  readonly file: string;
  readonly value: string;
  /** Whether the kernel may lack the file (swap accounting can be off). */
  readonly optional?: boolean;
}

/** What the kernel needs for a limit. */
export type LimitController = 'cpu' | 'memory' | 'pids';

/** One version, as found on this machine. Pure: it names files, it does not touch them. */
export interface CgroupVersion {
  readonly name: 'v1' | 'v2';
  /** Mount points of the hierarchies that our cgroups are made in, without repetition. */
  readonly hierarchies: readonly string[];
  /** The hierarchy whose lists of processes are read, and in which everything can be killed. */
  readonly tracking: string;
  /** Those of the controllers for limits that are there. */
  readonly controllers: readonly LimitController[];
  /** Controllers that must be handed down from each folder to the next one, `+cpu +memory`; empty for none. */
  readonly handedDown: string;
  /** The files of the limits that are given; their controllers have to be there. */
  limitFiles(limits: InstanceLimits): LimitFile[];
  /** `read` gives a file of the instance's cgroup, empty when there is none. */
  usage(read: (hierarchy: string, file: string) => string): InstanceUsage;
  /** Kills by the kernel for want of memory, counted in one leaf. */
  outOfMemoryKills(read: (hierarchy: string, file: string) => string): number;
}

/** The number behind a name in a file of lines `name number`; 0 when it is not there. */
export function counter(text: string, name: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

/** The controllers for limits, each with what it enforces: the limit, and its name for people. */
export const limitControllers = {
  cpu: { limit: 'cpuWeight', name: 'CPU weight' },
  memory: { limit: 'memoryBytesMax', name: 'memory limit' },
  pids: { limit: 'processesMax', name: 'limit of processes' },
} as const satisfies Record<LimitController, { limit: keyof InstanceLimits; name: string }>;

/** A sentence for each controller for limits that this machine lacks. */
export function missingControllers({
  name,
  controllers,
}: CgroupVersion): Partial<Record<LimitController, string>> {
  const entries = Object.entries(limitControllers).filter(
    ([controller]) => !controllers.includes(controller as LimitController),
  );
  return Object.fromEntries(
    entries.map(([controller, limit]) => [
      controller,
      `the cgroup controller ${controller} is missing (cgroups ${name}), so no ${limit.name} can be enforced: start the kernel with ${controller === 'memory' ? 'cgroup_enable=memory and ' : ''}without cgroup_disable=${controller}, or, where this machine is a container, pass the controller on to it; or use an environment class without a ${limit.name}`,
    ]),
  );
}

/** Which of these limits this machine cannot enforce, and why. */
export function unenforceableLimits(version: CgroupVersion, limits: InstanceLimits): UnenforceableLimits {
  const missing = Object.entries(missingControllers(version)).flatMap(([controller, why]) => {
    const { limit } = limitControllers[controller as LimitController];
    return limits[limit] === undefined ? [] : [[limit, why]];
  });
  return Object.fromEntries(missing) as UnenforceableLimits;
}

/** Those of these limits that this machine can enforce: for limits that are nobody's policy. */
export function enforceableLimits(version: CgroupVersion, limits: InstanceLimits): InstanceLimits {
  const refused = unenforceableLimits(version, limits);
  return Object.fromEntries(Object.entries(limits).filter(([limit]) => !(limit in refused)));
}
