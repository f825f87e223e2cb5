/**
 * The part of a build's runtime that needs system calls. Before each RUN step it turns the bundle that buildah made
 * into one for the environment's own user and network namespaces: `node build-runtime.ts <plan file> create`. Once
 * before buildah, with `context`, it shows it the folder that was checked and not what is now at its path.
 *
 * Buildah could map ids itself, but then what a RUN step writes is committed with the ids of the host and the
 * next step cannot own it (seen with buildah 1.28). So buildah knows nothing of the mapping: its layers stay
 * 0-based, and only while a step runs, its overlay is taken away and mounted again here from id-mapped views of
 * the same folders. Everything happens in a mount namespace of the build, whose end takes all of it along.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { idRangeSize } from '../claims/id-range.ts';
import { readMountTable, type MountEntry } from '../host/mount-table.ts';
import { run } from '../host/run.ts';
import {
  asOwner,
  attachTree,
  mount,
  mountAttributes,
  mountFlags,
  openInside,
  openTree,
  setAttributes,
  unmount,
} from '../host/syscalls.ts';
import { capabilitySets } from '../instances/capabilities.ts';
import { coveredPaths } from '../instances/covers.ts';
import { seccompProfile } from '../instances/seccomp.ts';
import { undoFile, type BuildPlan } from './build-plan.ts';

interface Mount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
}

interface BundleConfiguration {
  hostname: string;
  process: { env: string[]; rlimits?: unknown; capabilities: unknown };
  root: { path: string };
  mounts: Mount[];
  linux: {
    namespaces: { type: string; path?: string }[];
    resources?: unknown;
    cgroupsPath?: string;
    uidMappings?: unknown;
    gidMappings?: unknown;
    seccomp?: unknown;
  };
}

const [planFile = '', command = ''] = process.argv.slice(2);
const plan = JSON.parse(readFileSync(planFile, 'utf8')) as BuildPlan;
const bundle = process.cwd();
/** Outside of the bundle, which buildah takes away with everything that it sees below it. */
const views = join(plan.temporaryFolder, 'views', basename(bundle));

function option(entry: MountEntry, name: string): string {
  const values = entry.options.filter((text) => text.startsWith(`${name}=`) || text.startsWith(`${name}+=`));
  return values.map((text) => text.slice(text.indexOf('=') + 1)).join(':');
}

/** Paths as they are seen from the overlay folder, which keeps the options of many layers within a page. */
function fromOverlayFolder(paths: string): string {
  const start = `${plan.overlayFolder}/`;
  return paths
    .split(':')
    .map((path) => (path.startsWith(start) ? path.slice(start.length) : path))
    .join(':');
}

/** The overlay counts a mount that was not synchronized as damaged and would not mount the folder again. */
function forgetVolatile(workFolder: string): void {
  rmSync(join(workFolder, 'work/incompat'), { recursive: true, force: true });
}

/** Takes buildah's overlay away everywhere, and mounts it again with mapped ids. */
async function mountRoot(configuration: BundleConfiguration, userNamespace: number): Promise<void> {
  const table = readMountTable();
  const root = table.findLast((entry) => entry.mountPoint === configuration.root.path);
  if (root?.type !== 'overlay') throw new AtelierError('internal', 'buildah gave a root that is no overlay');
  const upper = option(root, 'upperdir');
  const same = table.filter((entry) => entry.type === 'overlay' && option(entry, 'upperdir') === upper);
  const merged = same.find((entry) => entry.mountPoint.startsWith(`${plan.overlayFolder}/`))?.mountPoint;
  if (merged === undefined) throw new AtelierError('internal', 'buildah gave a root outside of the storage');
  for (const entry of same.toReversed()) unmount(entry.mountPoint);
  await run('nsenter', ['--target', '1', '--mount', 'umount', merged]);

  const workFolder = option(root, 'workdir');
  const layers = join(views, 'layers');
  mkdirSync(layers, { recursive: true, mode: 0o700 });
  attachMapped(plan.overlayFolder, layers, userNamespace);
  const [lower, upperPath, work] = [option(root, 'lowerdir'), upper, workFolder].map(fromOverlayFolder);
  const options = `lowerdir=${lower},upperdir=${upperPath},workdir=${work}`;
  const undo = [plan.rootFolder, layers, workFolder, plan.overlayFolder, options, merged];
  writeFileSync(join(bundle, undoFile), `${undo.join('\n')}\n`);
  forgetVolatile(workFolder);
  process.chdir(layers);
  asOwner(plan.base, () => mount('overlay', plan.rootFolder, 'overlay', mountFlags.noDevices, options));
  process.chdir(bundle);
  configuration.root.path = plan.rootFolder;
}

/** Shows a file or folder at another place with mapped ids, or as it is where its file system cannot map. */
function attachMapped(source: string, target: string, userNamespace: number, mustMap = true): void {
  const tree = openTree(source);
  const place = openSync(target, constants.O_RDONLY);
  try {
    try {
      setAttributes(tree, mountAttributes.noDevices, userNamespace);
    } catch (error) {
      if (mustMap) throw error;
    }
    attachTree(tree, place);
  } finally {
    closeSync(place);
    closeSync(tree);
  }
}

/** The mount that a path lies on, and where the path is in the file system of that mount. */
function placeOf(
  table: readonly MountEntry[],
  path: string,
): { entry: MountEntry; rest: string; inside: string } {
  const on = table.filter(
    ({ mountPoint: point }) => path === point || path.startsWith(point === '/' ? '/' : `${point}/`),
  );
  const length = Math.max(...on.map((entry) => entry.mountPoint.length));
  const entry = on.findLast((each) => each.mountPoint.length === length);
  if (entry === undefined) throw new AtelierError('internal', `${path} is on no mount`);
  const rest = path.slice(entry.mountPoint.length).replace(/^\//, '');
  return { entry, rest, inside: join(entry.root, rest) };
}

/** Whether an overlay shows layers of the storage and nothing else. */
function isOfStorage(entry: MountEntry): boolean {
  const paths = fromOverlayFolder([option(entry, 'lowerdir'), option(entry, 'upperdir')].join(':')).split(
    ':',
  );
  return entry.type === 'overlay' && paths.every((path) => /^(l\/[A-Z0-9]+|[0-9a-f]{64}\/diff)$/.test(path));
}

/**
 * Replaces the source of a bind mount by a view of it that belongs to the ids of the step. Buildah follows links
 * in the files of a build when it prepares such a mount (seen with buildah 1.28: `RUN --mount=type=bind` of a link
 * to `/etc` shows that of the host). So what counts is not the path of the source but what is really mounted
 * there: it must lie in the context, in the folder of this build, or in a layer.
 */
function confineBind(table: readonly MountEntry[], bind: Mount, index: number, userNamespace: number): void {
  const source = bind.source ?? '';
  const { entry, rest, inside } = placeOf(table, source);
  const point = openSync(entry.mountPoint, constants.O_RDONLY);
  const found = openInside(point, rest);
  const status = fstatSync(found);
  const isAllowed = [plan.temporaryFolder, join(plan.temporaryFolder, 'context')].some((folder) => {
    const allowed = placeOf(table, folder).inside;
    const isBelow = inside === allowed || inside.startsWith(allowed === '/' ? '/' : `${allowed}/`);
    return isBelow && statSync(folder).dev === status.dev;
  });
  if (!isAllowed && !isOfStorage(entry)) {
    throw new AtelierError(
      'permission_denied',
      `what is to be mounted at ${bind.destination} is not of this build`,
    );
  }
  const view = join(views, `source-${index}`);
  if (status.isDirectory()) mkdirSync(view);
  else writeFileSync(view, '');
  attachMapped(`/proc/self/fd/${found}`, view, userNamespace, false);
  for (const descriptor of [found, point]) closeSync(descriptor);
  bind.source = view;
}

/** Turns the bundle of a step into one that crun may run. */
async function prepareStep(): Promise<void> {
  const file = join(bundle, 'config.json');
  const configuration = JSON.parse(readFileSync(file, 'utf8')) as BundleConfiguration;
  const { linux, process: step } = configuration;
  const userNamespace = openSync(plan.userNamespaceFile, constants.O_RDONLY);
  await mountRoot(configuration, userNamespace);
  configuration.mounts = configuration.mounts.filter((entry) => !entry.type?.startsWith('cgroup'));
  const table = readMountTable();
  for (const [index, entry] of configuration.mounts.entries()) {
    if (entry.type === 'bind') confineBind(table, entry, index, userNamespace);
  }
  closeSync(userNamespace);
  for (const folder of plan.folders) {
    configuration.mounts.push({
      ...folder,
      type: 'bind',
      options: ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'],
    });
  }
  delete linux.resources;
  delete linux.cgroupsPath;
  delete step.rlimits;
  step.capabilities = capabilitySets();
  linux.uidMappings = linux.gidMappings = [{ containerID: 0, hostID: plan.base, size: idRangeSize }];
  linux.seccomp = seccompProfile(process.arch);
  Object.assign(linux, coveredPaths());
  // A name that every image can resolve, for sudo.
  configuration.hostname = 'localhost';
  step.env.push(...plan.environment);
  linux.namespaces = linux.namespaces.filter(({ type }) => !['user', 'network', 'cgroup'].includes(type));
  linux.namespaces.push(
    { type: 'user', path: plan.userNamespaceFile },
    { type: 'network', path: plan.networkNamespaceFile },
    { type: 'cgroup' },
  );
  writeFileSync(file, JSON.stringify(configuration));
}

/** Shows the context, which is open as file 3, in the mount namespace of the build. */
function attachContext(): void {
  const inherited = 3;
  attachTree(inherited, openSync(join(plan.temporaryFolder, 'context'), constants.O_RDONLY));
}

try {
  if (command === 'context') attachContext();
  else await prepareStep();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
