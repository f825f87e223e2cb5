/**
 * Packs the command line into a few files for `./atelier`: loading hundreds of small modules takes several
 * times as long as most commands do. The daemon is left out: it is started from the sources. Everything goes to
 * packages/cli/dist, which the launcher makes anew when a source is newer.
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const cli = join(import.meta.dirname, '..', 'packages', 'cli');
const half = join(cli, `dist.${process.pid}`);
const target = join(cli, 'dist');

await build({
  entryPoints: [join(cli, 'src', 'main.ts')],
  outdir: half,
  bundle: true,
  splitting: true,
  format: 'esm',
  outExtension: { '.js': '.mjs' },
  platform: 'node',
  target: 'node24',
  // What the daemon is made of: loaded by its own command, with its binaries beside it.
  external: ['@atelier/plane', '@atelier/runner'],
  // Packages in the CommonJS form ask for what only they have.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
await rm(target, { recursive: true, force: true });
await rename(half, target);
