/** Where the parts of an environment lie on this home's disk. */
import { join } from 'node:path';
import { isId, requireId } from '@atelier/api';
import { namesIn } from '../host/files.ts';
import type { OciHome } from '../home.ts';

/** The folder of an environment. Errors: `invalid_argument` for anything that is no id. */
export function environmentFolder(home: OciHome, environmentId: string): string {
  return join(home.environmentsFolder, requireId(environmentId, 'environment id'));
}

/** Ids of the environments that have a folder here, whatever is in it. */
export function environmentIds(home: OciHome): string[] {
  return namesIn(home.environmentsFolder).filter(isId);
}

/** The workspace of a disk; a disk is there when its workspace is. */
export function workspaceFolder(home: OciHome, environmentId: string): string {
  return join(environmentFolder(home, environmentId), 'workspace');
}

/** The folder of all root layers of a disk. */
export function generationsFolder(home: OciHome, environmentId: string): string {
  return join(environmentFolder(home, environmentId), 'generations');
}

/** One root layer: `upper`, `work`, and the file `image` with the digest that it lies on. */
export function generationFolder(home: OciHome, environmentId: string, generation: number): string {
  return join(generationsFolder(home, environmentId), String(generation));
}

/** The folder of an environment's instances: their bundles and records. */
export function instancesFolder(home: OciHome, environmentId: string): string {
  return join(environmentFolder(home, environmentId), 'instances');
}
