/**
 * The build before this one, as its users have it: a checkout of an earlier revision, made ready by its own launcher.
 * `testdata/previous-revision.txt` names the revision: the newest that speaks the protocols one version below ours, or
 * ours while there is no change. It is made once and kept in `.toolchain/previous/<revision>`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { programs } from './machine.ts';

/** A command line of Atelier on this disk. */
export interface Build {
  readonly node: string;
  /** The script that is the command line. */
  readonly main: string;
}

const checkout = join(import.meta.dirname, '../..');
const revision = readFileSync(join(import.meta.dirname, 'testdata/previous-revision.txt'), 'utf8').trim();
const readyMsMax = 280_000;

/** Why there can be no previous build here; undefined when it can be made. */
export function whyNoPreviousBuild(): string | undefined {
  const found = spawnSync('git', ['-C', checkout, 'cat-file', '-e', `${revision}^{commit}`]);
  if (found.error === undefined && found.status === 0) return undefined;
  return `the history here does not have revision ${revision}, of which the previous build is made: git fetch --unshallow`;
}

/** Whether the database has migrations that the previous build does not know: its plane refuses it then. */
export function isMigratedSince(): boolean {
  const folder = 'packages/store/src/migrations';
  const listed = execFileSync('git', ['-C', checkout, 'ls-tree', '--name-only', revision, `${folder}/`], {
    encoding: 'utf8',
  });
  const before = new Set(listed.trim().split('\n'));
  return readdirSync(join(checkout, folder)).some((name) => !before.has(`${folder}/${name}`));
}

/** Makes the previous build, or finds it; the first time, its packages are fetched. */
export function makePreviousBuild(): Build {
  const folder = join(checkout, '.toolchain/previous', revision.slice(0, 12));
  const ready = join(folder, '.toolchain/ready');
  if (!existsSync(ready)) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const archive = execFileSync('git', ['-C', checkout, 'archive', revision], {
      maxBuffer: 256 * 1024 * 1024,
    });
    execFileSync('tar', ['-x', '-C', folder], { input: archive });
    const launched = spawnSync(join(folder, 'atelier'), ['version'], {
      cwd: folder,
      env: programs.variables,
      encoding: 'utf8',
      timeout: readyMsMax,
    });
    if (launched.status !== 0)
      throw new Error(`the previous build cannot be made ready: ${launched.stderr} ${launched.error ?? ''}`);
    writeFileSync(ready, '');
  }
  return {
    node: join(folder, '.toolchain/node_modules/.bin/node'),
    main: join(folder, 'packages/cli/dist/main.mjs'),
  };
}
