/** Images from Dockerfiles. The steps of a Dockerfile are foreign code: they run as an environment does. */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import type { Image, ImageBuild, Progress } from '@atelier/driver';
import type { OciHome } from '../home.ts';
import { readJson, writeJson } from '../host/files.ts';
import { mountAttributes, openTree, setAttributes } from '../host/syscalls.ts';
import type { Serial } from '../host/serial.ts';
import { fingerprintOf, openContext, type BuildContext } from './build-context.ts';
import { runChild, type ChildResult } from './child.ts';
import { confined, type ConfinementSetting } from './confinement.ts';
import { externalImages } from './dockerfile.ts';
import { inspectImage } from './layers.ts';
import { parseReference } from './reference.ts';
import { runBuildah, withTemporaryFolder, type Buildah } from './storage.ts';

/** What builds need: the storage that they fill and the confinement that they run in. */
export interface BuildOptions {
  readonly home: OciHome;
  readonly buildah: Buildah;
  readonly confinement: ConfinementSetting;
  /** Builds of one home run one after another: what is left of a failed one can then be told and removed. */
  readonly serial: Serial;
  /** Makes a referenced image be here. */
  readonly ensureImage: (reference: string, progress: Progress, signal: AbortSignal) => Promise<Image>;
}

/** Builds an image, or finds the one that was built from the same inputs. */
export async function ensureBuild(
  options: BuildOptions,
  build: ImageBuild,
  progress: Progress,
  signal: AbortSignal,
): Promise<Image> {
  const { home } = options;
  checkArguments(build);
  const context = openContext(home, build);
  try {
    const images: string[] = [];
    for (const reference of externalImages(context.dockerfile, build.buildArguments, build.target)) {
      // Other kinds of names, such as folders of this machine, are refused here.
      const { name } = parseReference(reference);
      images.push((await options.ensureImage(name, progress, signal)).digest);
    }
    const key = await keyOf(build, context, images);
    const index = join(home.folder, 'storage-builds', `${key}.json`);
    const known = readJson<{ digest: string }>(index);
    const cached = known && (await inspectImage(home, known.digest));
    if (cached !== undefined) return cached;
    const digest = await options.serial('build', () => runBuild(options, build, context, progress, signal));
    const image = await inspectImage(home, digest);
    if (image === undefined) throw new AtelierError('internal', `${digest} was built and is not there`);
    mkdirSync(join(home.folder, 'storage-builds'), { recursive: true, mode: 0o700 });
    writeJson(index, { digest });
    return image;
  } finally {
    context.close();
  }
}

function checkArguments({ buildArguments, target }: ImageBuild): void {
  const wrong = Object.keys(buildArguments).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (wrong !== undefined)
    throw new AtelierError('invalid_argument', `"${wrong}" cannot name a build argument`);
  if (target !== undefined && !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(target)) {
    throw new AtelierError('invalid_argument', `"${target}" cannot name a stage`);
  }
}

/** The environment is part of the key: an image that somebody else's files led to is never answered. */
async function keyOf(build: ImageBuild, context: BuildContext, images: readonly string[]): Promise<string> {
  const { environmentId, contextPath, target, buildArguments } = build;
  const sorted = Object.entries(buildArguments).toSorted();
  const inputs = [environmentId, contextPath, target ?? '', sorted, context.dockerfile, images];
  return createHash('sha256')
    .update(JSON.stringify([...inputs, await fingerprintOf(context)]))
    .digest('hex');
}

async function runBuild(
  options: BuildOptions,
  build: ImageBuild,
  context: BuildContext,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  const { home, buildah, confinement } = options;
  await removeWorkingContainers(options);
  return withTemporaryFolder(home, (folder) =>
    confined(
      confinement,
      build.environmentId,
      folder,
      async ({ command, runtime, contextFolder, hasNetwork }) => {
        if (!hasNetwork) progress('building without a network: the environment has none');
        const files = writeBuildFiles(folder, context);
        const bud = [
          ['bud', '--layers', '--force-rm', '--pull=false', '--isolation', 'oci', '--network', 'host'],
          // What the steps inherit is the runtime's to add: buildah would hand out the proxies that it uses itself.
          ['--http-proxy=false'],
          ['--runtime', runtime, '--signature-policy', buildah.policyFile, '--iidfile', files.digest],
          ['--file', files.dockerfile, '--ignorefile', files.ignore],
          build.target === undefined ? [] : ['--target', build.target],
          ...Object.entries(build.buildArguments).map(([name, value]) => ['--build-arg', `${name}=${value}`]),
        ].flat();
        const [program = '', ...rest] = [...command, 'buildah', ...buildah.options, ...bud, contextFolder];
        const tree = openTree(`/proc/self/fd/${context.descriptor}`);
        try {
          setAttributes(
            tree,
            mountAttributes.readOnly | mountAttributes.noSetuid | mountAttributes.noDevices,
          );
          const result = await runChild(program, rest, {
            variables: { ...buildah.variables, TMPDIR: folder, REGISTRY_AUTH_FILE: files.noCredentials },
            signal,
            descriptor: tree,
            onLine: (line) => progress(line),
          });
          if (result.exitCode !== 0) throw buildError(build, result);
          return readFileSync(files.digest, 'utf8').trim();
        } finally {
          closeSync(tree);
          await removeWorkingContainers(options);
        }
      },
    ),
  );
}

interface BuildFiles {
  readonly dockerfile: string;
  readonly ignore: string;
  readonly digest: string;
  readonly noCredentials: string;
}

function writeBuildFiles(folder: string, context: BuildContext): BuildFiles {
  const files = {
    dockerfile: join(folder, 'Dockerfile'),
    ignore: join(folder, 'ignore'),
    digest: join(folder, 'digest'),
    noCredentials: join(folder, 'auth.json'),
  };
  writeFileSync(files.dockerfile, context.dockerfile);
  writeFileSync(files.ignore, context.ignore);
  writeFileSync(files.noCredentials, '{}');
  return files;
}

function buildError(build: ImageBuild, { lines }: ChildResult): AtelierError {
  // The builder's own log lines, and what it prints of its memory, tell the author of a Dockerfile nothing.
  const words = lines.filter((line) => !line.startsWith('time="'));
  const text = (words.length > 0 ? words : lines).join('\n').replaceAll(/ &imagebuilder\.Step\{.*\}$/gm, '');
  const full = /no space left on device/i.test(lines.join('\n'));
  const advice = full ? 'the disk is full: free space under ATELIER_HOME' : 'its last lines say why';
  return new AtelierError(
    full ? 'resource_exhausted' : 'failed_precondition',
    `building ${build.dockerfilePath} of environment ${build.environmentId} failed: ${advice}\n${text}`,
  );
}

/** Takes away what a build that was ended has left in the storage. */
async function removeWorkingContainers({ home, buildah }: BuildOptions): Promise<void> {
  const list = join(home.storageFolder, 'overlay-containers/containers.json');
  if ((readJson<unknown[]>(list) ?? []).length === 0) return;
  await runBuildah(buildah, ['rm', '--all'], { signal: new AbortController().signal });
}
