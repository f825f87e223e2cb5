/** Disks as folders of this home; ids of the files on them begin at 0, whatever range an environment has. */
import { lstatSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import type { Disk, DiskDriver } from '@atelier/driver';
import { namesIn, readText, removeIfEmpty, unlessMissing } from '../host/files.ts';
import { run } from '../host/run.ts';
import { errnoOf } from '../host/syscalls.ts';
import type { Serial } from '../host/serial.ts';
import type { OciHome } from '../home.ts';
import { isInUse } from '../instances/records.ts';
import {
  environmentFolder,
  environmentIds,
  generationFolder,
  generationsFolder,
  workspaceFolder,
} from './folders.ts';

/**
 * The layers of an image that is here, as absolute folders below the home's storage, the uppermost first.
 * Errors: `not_found` for an image that is not here.
 */
export type LayersOf = (home: OciHome, digest: string) => Promise<string[]>;

/** What the disks of a home need. */
export interface DiskSetting {
  readonly home: OciHome;
  readonly layersOf: LayersOf;
  /** Shared with the instances: one change of an environment at a time. */
  readonly serial: Serial;
  /** Gives up the namespaces of an environment when nothing uses them any more. */
  readonly releaseNamespaces: (environmentId: string) => void;
}

/** Makes the disk driver of a home. */
export function makeDisks({ home, layersOf, serial, releaseNamespaces }: DiskSetting): DiskDriver {
  const inspect = (id: string): Disk | undefined => inspectDisk(home, id);
  return {
    list: async () => environmentIds(home).flatMap((id) => inspect(id) ?? []),
    inspect: async (id) => inspect(id),
    ensure: async (id) => {
      makeFolder(workspaceFolder(home, id), id);
      return requireDisk(home, id);
    },
    ensureGeneration: (id, generation, imageDigest) =>
      serial(id, async () => {
        const disk = requireDisk(home, id);
        const had = disk.generations.find((each) => each.generation === generation);
        if (had?.imageDigest === imageDigest) return disk;
        if (had !== undefined) throw otherImage(id, generation, had.imageDigest);
        await layersOf(home, imageDigest);
        await makeGeneration(home, id, generation, imageDigest);
        return requireDisk(home, id);
      }),
    removeGeneration: (id, generation) =>
      serial(id, async () => {
        refuseInUse(home, id, generation);
        await discard(generationsFolder(home, id), String(generation));
        removeIfEmpty(generationsFolder(home, id));
      }),
    clearWorkspace: (id) =>
      serial(id, async () => {
        refuseInUse(home, id);
        requireDisk(home, id);
        setAside(environmentFolder(home, id), 'workspace');
        makeFolder(workspaceFolder(home, id), id);
        await discard(environmentFolder(home, id), 'workspace');
      }),
    remove: (id) =>
      serial(id, async () => {
        refuseInUse(home, id);
        const folder = environmentFolder(home, id);
        // The workspace goes first: from then on there is no disk to a reader, only something to clean up.
        setAside(folder, 'workspace');
        const parts = namesIn(folder).filter((name) => name !== 'instances');
        await removeTrees(parts.map((name) => join(folder, name)));
        removeIfEmpty(folder);
        releaseNamespaces(id);
      }),
    usage: async (id) => {
      const output = await run('du', [
        '--summarize',
        '--block-size=1',
        '--one-file-system',
        environmentFolder(home, id),
      ]);
      return Number(output.split('\t')[0]);
    },
  };
}

/** The disk of an environment as found, undefined when there is none. */
export function inspectDisk(home: OciHome, environmentId: string): Disk | undefined {
  const folder = environmentFolder(home, environmentId);
  if (!namesIn(folder).includes('workspace')) return undefined;
  const generations = namesIn(generationsFolder(home, environmentId))
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((one, other) => one - other)
    .flatMap((generation) => {
      const imageDigest = readText(join(generationFolder(home, environmentId, generation), 'image'));
      return imageDigest === undefined ? [] : [{ generation, imageDigest }];
    });
  return { environmentId, generations };
}

/** The disk of an environment; `not_found` when there is none. */
export function requireDisk(home: OciHome, environmentId: string): Disk {
  const disk = inspectDisk(home, environmentId);
  if (disk !== undefined) return disk;
  throw new AtelierError('not_found', `environment ${environmentId} has no disk here: make it first`);
}

/** Deletes folder trees, however deep somebody made them and whatever links are in them. */
export async function removeTrees(paths: readonly string[]): Promise<void> {
  const there = paths.filter((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
  if (there.length > 0) await run('rm', ['-rf', '--one-file-system', '--', ...there]);
}

async function makeGeneration(
  home: OciHome,
  environmentId: string,
  generation: number,
  imageDigest: string,
): Promise<void> {
  const folder = generationsFolder(home, environmentId);
  const draft = join(folder, `.draft-${generation}`);
  await removeTrees([draft]);
  makeFolder(join(draft, 'upper'), environmentId);
  makeFolder(join(draft, 'work'), environmentId);
  writeFileSync(join(draft, 'image'), imageDigest);
  renameSync(draft, join(folder, String(generation)));
}

function setAside(folder: string, name: string): void {
  unlessMissing(() =>
    renameSync(join(folder, name), join(folder, `.removed-${name}-${namesIn(folder).length}`)),
  );
}

/** Out of sight in one step, then deleted, with what an earlier call did not finish. */
async function discard(folder: string, name: string): Promise<void> {
  if (name !== 'workspace') setAside(folder, name);
  const aside = namesIn(folder).filter((each) => each.startsWith(`.removed-${name}-`));
  await removeTrees(aside.map((each) => join(folder, each)));
}

function refuseInUse(home: OciHome, environmentId: string, generation?: number): void {
  // A call for no id at all must not look like one for a disk that is not in use.
  environmentFolder(home, environmentId);
  if (!isInUse(home, environmentId, generation)) return;
  const what = generation === undefined ? 'the disk' : `generation ${generation}`;
  const message = `an instance of environment ${environmentId} uses ${what}: stop it first`;
  throw new AtelierError('failed_precondition', message);
}

function otherImage(id: string, generation: number, digest: string): AtelierError {
  const message = `generation ${generation} of environment ${id} lies on ${digest}: take a new generation`;
  return new AtelierError('already_exists', message);
}

function makeFolder(folder: string, environmentId: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  } catch (error) {
    if (!['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) throw error;
    const message = `no space left for the disk of environment ${environmentId}: delete environments or images`;
    throw new AtelierError('resource_exhausted', message, { cause: error });
  }
}
