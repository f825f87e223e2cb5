/** What the tests need of the machine they run on. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** This Node.js, and the variables that a program may have. */
export const programs = {
  node: process.execPath,
  variables: Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(ATELIER_HOME|GITPOD_|VITEST|NODE_OPTIONS)/.test(name)),
  ),
};

const needed = ['crun', 'buildah', 'nft', 'ip', 'git', 'script'];

/** Why environments cannot run here; undefined when they can. */
export function whyNotHere(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can make environments';
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const missing = needed.filter((program) => !folders.some((folder) => existsSync(join(folder, program))));
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
}
