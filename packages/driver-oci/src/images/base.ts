/**
 * The image for repositories that name none. Its files are made by mmdebstrap once per machine and kept in a
 * machine-wide cache; each home imports them. The same files give the same digest in every home.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AtelierError } from '@atelier/api';
import type { Image, Progress } from '@atelier/driver';
import type { OciHome } from '../home.ts';
import { namesIn, readText } from '../host/files.ts';
import { baseConfiguration, baseKey, baseRecipe, debianRelease, type BaseRecipe } from './base-recipe.ts';
import { runChild } from './child.ts';
import { findImage } from './layers.ts';
import { childVariables, runBuildah, withTemporaryFolder, type Buildah, type Variables } from './storage.ts';

/** Name of the base image in every home. */
export const baseName = 'localhost/atelier/base:latest';

const architectures: Partial<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** A base image's files on this machine. */
interface Archive {
  readonly path: string;
  readonly sha256: string;
}

/** What is needed to make the base image. */
export interface BaseOptions {
  readonly home: OciHome;
  readonly buildah: Buildah;
  readonly host: Variables;
}

/** Finds the base image of the present recipe, or makes it. */
export async function ensureBase(
  options: BaseOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<Image> {
  const { home, buildah, host } = options;
  const recipe = baseRecipe(debianRelease(readText('/etc/os-release') ?? ''));
  const keyed = `localhost/atelier/base:${baseKey(recipe)}`;
  const [found, latest] = [await findImage(home, keyed), await findImage(home, baseName)];
  if (found !== undefined && found.digest === latest?.digest) return found;
  if (found === undefined) {
    const archive = await ensureArchive(recipe, host, progress, signal);
    progress('importing the base image', 0.95);
    await importArchive(options, archive, signal);
  }
  const [from, to] = found === undefined ? [baseName, keyed] : [keyed, baseName];
  await mustBuildah(buildah, ['tag', from, to], { signal });
  const made = await findImage(home, keyed);
  if (made === undefined) throw new AtelierError('internal', `${keyed} was imported and is not there`);
  return made;
}

const stages: [pattern: RegExp, fraction: number][] = [
  [/running apt-get update/, 0.05],
  [/downloading packages/, 0.1],
  [/extracting archives/, 0.25],
  [/installing essential/, 0.35],
  [/installing remaining/, 0.5],
  [/running .*hook/, 0.8],
  [/creating tarball/, 0.85],
];

/**
 * Runs in a shell that holds the lock of the archive, so that two homes do not make it at once. The sum is
 * there before the archive is: an archive that exists is whole.
 */
const makeArchive = `set -eu
archive=$1 work=$2
[ ! -e "$archive" ] || exit 0
rm -rf "$work"; mkdir -m 0755 "$work"
trap 'rm -rf "$work"' EXIT
release=$3 hook=$4 packages=$5; shift 5
TMPDIR=$work unshare --mount --pid --fork --kill-child --mount-proc \\
  mmdebstrap --mode=root --variant=minbase --format=tar --include="$packages" \\
  --customize-hook="sh '$hook' \\"\\$1\\"" "$release" "$work/base.tar" "$@"
sum=$(sha256sum "$work/base.tar"); echo "\${sum%% *}" > "$work/sum"
mv "$work/sum" "$archive.sha256"; mv "$work/base.tar" "$archive"
`;

async function ensureArchive(
  recipe: BaseRecipe,
  host: Variables,
  progress: Progress,
  signal: AbortSignal,
): Promise<Archive> {
  const folder = host['ATELIER_CACHE'] ?? '/var/cache/atelier';
  const path = join(folder, `base-${baseKey(recipe)}.tar`);
  mkdirSync(folder, { recursive: true });
  // What is damaged is made again, once.
  for (const attempt of ['first', 'second']) {
    if (!existsSync(path)) await debootstrap(recipe, { path, host }, progress, signal);
    const sha256 = (readText(`${path}.sha256`) ?? '').trim();
    if ((await sha256Of(path)) === sha256) return { path, sha256 };
    if (attempt === 'first') progress(`${path} is damaged: making it again`);
    rmSync(path, { force: true });
  }
  throw new AtelierError(
    'data_loss',
    `${path} is damaged each time it is written: check the disk of this machine`,
  );
}

async function debootstrap(
  recipe: BaseRecipe,
  at: { path: string; host: Variables },
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  progress(`making the base image from Debian ${recipe.release} packages, once per machine`, 0.01);
  const hook = `${at.path}.${process.pid}.hook`;
  writeFileSync(hook, recipe.script);
  const stage = { fraction: 0.01 };
  const { exitCode, lines } = await runChild(
    'flock',
    [
      [`${at.path}.lock`, 'sh', '-c', makeArchive, 'sh', at.path, `${at.path}.work`],
      [recipe.release, hook, recipe.packages.join(','), ...aptSources(recipe.release)],
    ].flat(),
    {
      variables: {
        ...childVariables(at.host, ['http_proxy', 'https_proxy', 'no_proxy']),
        SOURCE_DATE_EPOCH: '1700000000',
      },
      signal,
      onLine: (line) => {
        stage.fraction = stages.find(([pattern]) => pattern.test(line))?.[1] ?? stage.fraction;
        progress(line.replace(/^I: /, '').replace(/ in shell: .*/, ''), stage.fraction);
      },
    },
  ).finally(() => rmSync(hook, { force: true }));
  if (exitCode === 0) return;
  throw new AtelierError(
    lines.some((line) => /no space left/i.test(line)) ? 'resource_exhausted' : 'unavailable',
    `the base image could not be made with mmdebstrap: check that the Debian mirror in /etc/apt can be reached. It said:\n${lines.join('\n')}`,
  );
}

/** The files with the package sources of this machine, when they are for this release; its mirror is nearest. */
function aptSources(release: string): string[] {
  const folder = '/etc/apt/sources.list.d';
  const names = namesIn(folder).filter((name) => /\.(list|sources)$/.test(name));
  const files = ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))];
  const debian = new RegExp(`^(deb |Suites:).*\\b${release}\\b`, 'm');
  return files.filter((file) => {
    const text = readText(file) ?? '';
    return debian.test(text) && /\/debian(-security)?\/?\s/.test(text);
  });
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/**
 * Imports an archive as an image of one layer, by way of the folder form of an OCI image. Buildah names what it
 * imports after the folder as it was written, so it is called where that is the right name.
 */
async function importArchive(
  { home, buildah }: BaseOptions,
  archive: Archive,
  signal: AbortSignal,
): Promise<void> {
  await withTemporaryFolder(home, async (folder) => {
    const image = join(folder, 'atelier/base');
    const blobs = join(image, 'blobs/sha256');
    mkdirSync(blobs, { recursive: true });
    const put = (value: unknown): { digest: string; size: number } => {
      const text = JSON.stringify(value);
      const sum = createHash('sha256').update(text).digest('hex');
      writeFileSync(join(blobs, sum), text);
      return { digest: `sha256:${sum}`, size: Buffer.byteLength(text) };
    };
    symlinkSync(archive.path, join(blobs, archive.sha256));
    const digest = `sha256:${archive.sha256}`;
    const type = 'application/vnd.oci.image';
    const config = put({
      created: '2023-11-14T22:13:20Z',
      architecture: architectures[process.arch] ?? process.arch,
      os: 'linux',
      config: baseConfiguration,
      rootfs: { type: 'layers', diff_ids: [digest] },
      history: [{ created: '2023-11-14T22:13:20Z', created_by: 'mmdebstrap' }],
    });
    const manifest = put({
      schemaVersion: 2,
      mediaType: `${type}.manifest.v1+json`,
      config: { mediaType: `${type}.config.v1+json`, ...config },
      layers: [{ mediaType: `${type}.layer.v1.tar`, digest, size: statSync(archive.path).size }],
    });
    const entry = { mediaType: `${type}.manifest.v1+json`, ...manifest };
    writeFileSync(join(image, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
    writeFileSync(join(image, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const pull = ['pull', '--signature-policy', buildah.policyFile, 'oci:atelier/base'];
    await mustBuildah(buildah, pull, { signal, workingFolder: folder });
  });
}

async function mustBuildah(
  buildah: Buildah,
  args: readonly string[],
  options: { readonly signal: AbortSignal; readonly workingFolder?: string },
): Promise<void> {
  const { exitCode, lines } = await runBuildah(buildah, args, options);
  if (exitCode === 0) return;
  const text = lines.join('\n');
  const code = /no space left/i.test(text) ? 'resource_exhausted' : 'internal';
  throw new AtelierError(code, `buildah ${args[0]} failed: ${text}`);
}
