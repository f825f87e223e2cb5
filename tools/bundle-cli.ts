/**
 * Packs the command line into one file for `./atelier`: loading hundreds of small modules takes longer than most
 * commands do. The daemon is left out: it is started from the sources. `tools/bootstrap.sh` calls this when a source
 * is newer than the file, by the file's date, which is that of the start of the packing.
 */
import { rename, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const startedAt = new Date();
const cli = join(import.meta.dirname, '..', 'packages', 'cli');
const half = join(cli, 'dist', `main.${process.pid}.mjs`);

await build({
  entryPoints: [join(cli, 'src', 'main.ts')],
  outfile: half,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  // What the daemon is made of: loaded by its own command, with its binaries beside it.
  external: ['@atelier/plane', '@atelier/runner'],
  // Packages in the CommonJS form ask for what only they have.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  logLevel: 'silent',
});
await utimes(half, startedAt, startedAt);
// Whole and at once: a command that starts meanwhile gets the one before.
await rename(half, join(cli, 'dist', 'main.mjs'));
