import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';

/** A kernel of Debian's, unpacked and never installed. */
export interface GuestKernel {
  readonly image: string;
  /** The folder that is `/lib/modules/<release>` to the guest. */
  readonly modules: string;
}

/** Small, without firmware, and with version 2 of cgroups whole. */
const metaPackage = 'linux-image-cloud-amd64';

/** Fetches the kernel into a folder, or finds it there. Throws with what to do when apt does not give it. */
export function guestKernel(cache: string): GuestKernel {
  const name = newestKernel();
  const folder = join(cache, name);
  if (!existsSync(folder)) {
    const partial = `${folder}.${process.pid}`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    console.log(`guest: fetching ${name}, once`);
    apt(['apt-get', 'download', name], partial);
    const [archive = ''] = readdirSync(partial);
    execFileSync('dpkg-deb', ['-x', join(partial, archive), join(partial, 'tree')]);
    rmSync(join(partial, archive));
    const [made = ''] = readdirSync(join(partial, 'tree/lib/modules'));
    execFileSync('/bin/busybox', ['depmod', '-b', join(partial, 'tree'), made]);
    renameSync(partial, folder);
  }
  const [release = ''] = readdirSync(join(folder, 'tree/lib/modules'));
  return {
    image: join(folder, 'tree/boot', `vmlinuz-${release}`),
    modules: join(folder, 'tree/lib/modules', release),
  };
}

function newestKernel(): string {
  const depends = apt(['apt-cache', 'depends', metaPackage], '/');
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Error(`apt knows no ${metaPackage}: apt-get update`);
  return name;
}

function apt([program = '', ...words]: string[], cwd: string): string {
  try {
    return execFileSync(program, words, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${program} ${words.join(' ')} failed (apt-get update may help): ${String(error)}`, {
      cause: error,
    });
  }
}

/** Files of the modules with these names and of all that they need, each after what it needs. */
export function modulesInOrder({ modules }: GuestKernel, names: readonly string[]): string[] {
  const files = new Map<string, string>();
  for (const path of readdirSync(modules, { recursive: true, encoding: 'utf8' })) {
    const name = /([^/]+)\.ko$/.exec(path)?.[1];
    if (name !== undefined) files.set(moduleName(name), join(modules, path));
  }
  const ordered = new Set<string>();
  const add = (name: string): void => {
    const file = files.get(moduleName(name));
    // What is no file is part of the kernel itself.
    if (file === undefined || ordered.has(file)) return;
    for (const needed of neededBy(file)) add(needed);
    ordered.add(file);
  };
  for (const name of names) add(name);
  return [...ordered];
}

function neededBy(file: string): string[] {
  const depends = /\0depends=([\w,-]*)\0/.exec(readFileSync(file, 'latin1'))?.[1] ?? '';
  return depends.split(',').filter((name) => name !== '');
}

function moduleName(name: string): string {
  return name.replaceAll('-', '_');
}
