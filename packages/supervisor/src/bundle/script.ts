/** The supervisor as one script. */
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** The script and every file that it was made of. */
export interface BundledScript {
  readonly text: string;
  /** Absolute paths. */
  readonly inputs: string[];
}

/** Bundles `main.ts` with all that it imports. */
export async function bundleScript(): Promise<BundledScript> {
  const sources = dirname(dirname(fileURLToPath(import.meta.url)));
  const result = await build({
    entryPoints: [join(sources, 'main.ts')],
    absWorkingDir: sources,
    bundle: true,
    inject: [join(import.meta.dirname, 'headers.ts')],
    write: false,
    metafile: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    outfile: 'supervisor.js',
    legalComments: 'none',
    logLevel: 'silent',
  });
  const inputs = Object.keys(result.metafile.inputs).map((path) =>
    isAbsolute(path) ? path : resolve(sources, path),
  );
  const program = result.outputFiles[0]?.text ?? '';
  // As one function, so that the runtime takes the text as it is and finds its compiled form by it.
  return { text: `(function(require,module,exports){${program}\n})`, inputs };
}
