/** Disks, repositories and files of a simulated machine, as shapes. */

/** One root layer of a disk, with what was done on it. */
export interface SimulatedRootLayer {
  readonly imageDigest: string;
  /** Life-cycle commands that ran on this layer, by name and session, and their exit codes. */
  readonly lifecycle: Map<string, number>;
}

/** One disk. Files are texts by their path relative to the workspace. */
export interface SimulatedDisk {
  readonly environmentId: string;
  readonly generations: Map<number, SimulatedRootLayer>;
  workspace: Map<string, string>;
  /** Grows with each change of the workspace that a driver call or a program made. */
  workspaceVersion: number;
}

/** What a repository has in it, by path; what the built-in git answers a clone with. */
export type SimulatedRepository = Readonly<Record<string, string>>;

/** Files by absolute or relative path; relative ones start at the working directory. */
export interface SimulatedFiles {
  read(path: string): string | undefined;
  /** Writes a file; false when the path is not in the workspace. */
  write(path: string, text: string): boolean;
  /** Paths of all files below a folder, relative to it, sorted. */
  list(folder: string): string[];
}
