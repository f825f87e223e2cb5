/** What differs between the two versions of cgroups: where things are and what they are called. */
import type { InstanceLimits, InstanceUsage } from '@atelier/driver';

/** A limit as a file: what is written, and what may be read back. */
export interface LimitFile {
  /** Hierarchy that the file is in. */
  readonly hierarchy: string;
  readonly file: string;
  readonly value: string;
  /** Whether the kernel may lack the file (swap accounting can be off). */
  readonly optional?: boolean;
}

/** One version, as found on this machine. Pure: it names files, it does not touch them. */
export interface CgroupVersion {
  readonly name: 'v1' | 'v2';
  /** Mount points of the hierarchies that our cgroups are made in, without repetition. */
  readonly hierarchies: readonly string[];
  /** The hierarchy whose lists of processes are read, and in which everything can be killed. */
  readonly tracking: string;
  readonly enforces: {
    readonly cpuWeight: boolean;
    readonly memoryLimit: boolean;
    readonly processLimit: boolean;
  };
  /** Controllers that must be handed down from each folder to the next one, `+cpu +memory`; empty for none. */
  readonly handedDown: string;
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
