/** Links that an image has at the places where an instance gets something from outside. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Atelier } from '../atelier.ts';

/** The places. */
export const mountPoints = ['opt/atelier', 'run/atelier-link', 'workspaces'];

/** The folder of the host that all links lead to, and that nothing must be made in. */
export function victimFolder(atelier: Atelier): string {
  return join(atelier.folder, 'victim');
}

/** Makes the folder; gives the files of a repository whose image has the links. */
export function plantedFiles(atelier: Atelier): Record<string, string> {
  const victim = victimFolder(atelier);
  for (const point of mountPoints) mkdirSync(join(victim, point), { recursive: true });
  writeFileSync(join(victim, 'kept'), '');
  const plant = mountPoints
    .map((point) => `mkdir -p ${victim}/${point} && rm -rf /${point} && ln -s ${victim}/${point} /${point}`)
    .join(' && ');
  return {
    '.devcontainer/Dockerfile': `FROM localhost/atelier/base\nRUN ${plant}\n`,
    '.devcontainer/devcontainer.json': '{ "build": { "dockerfile": "Dockerfile" }, "remoteUser": "root" }',
  };
}
