/**
 * Disks: what an environment's user would miss. Read `driver.ts` first.
 *
 * A disk belongs to one environment. It has a workspace (the repository) and volumes, which live as long as
 * the disk, and a root layer per generation on top of one image. Stop and start keep everything. A rebuild
 * makes a new generation; the old one stays until `removeGeneration`, so that a failed rebuild can go back.
 */

/** What is on a disk, as found there. */
export interface Disk {
  readonly environmentId: string;
  /** Root layers that exist, ascending, each with the image that it lies on. */
  readonly generations: ReadonlyArray<{ readonly generation: number; readonly imageDigest: string }>;
}

/** Disks of one driver. */
export interface DiskDriver {
  /** All disks of this home. */
  list(): Promise<Disk[]>;
  /** One disk, undefined when there is none. */
  inspect(environmentId: string): Promise<Disk | undefined>;
  /**
   * Makes the disk with an empty workspace, without any root layer. A second call finds it and changes nothing.
   * Errors: `resource_exhausted` (disk full, with what is free and what is needed).
   */
  ensure(environmentId: string): Promise<Disk>;
  /**
   * Makes a root layer on an image that is here. A second call with the same image finds it.
   * Errors: `not_found` (image or disk), `already_exists` (the generation lies on another image).
   */
  ensureGeneration(environmentId: string, generation: number, imageDigest: string): Promise<Disk>;
  /** Takes a root layer away; `failed_precondition` while an instance uses it. */
  removeGeneration(environmentId: string, generation: number): Promise<void>;
  /**
   * Empties the workspace: before content is made for the first time or anew after a failure.
   * `failed_precondition` while an instance uses the disk.
   */
  clearWorkspace(environmentId: string): Promise<void>;
  /** Deletes the disk with everything on it; `failed_precondition` while an instance uses it. */
  remove(environmentId: string): Promise<void>;
  /** Bytes that the disk takes, root layers, workspace and volumes together. May walk the disk. */
  usage(environmentId: string): Promise<number>;
}
