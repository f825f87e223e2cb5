/**
 * This home's own containers/storage and how buildah is called on it. Every file that buildah would look for
 * in the machine's `/etc/containers` is written under the home instead, so that nothing there is read or changed.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OciHome } from '../home.ts';
import { runChild, type ChildOptions, type ChildResult } from './child.ts';

/** Variables as a process has them. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** How to call buildah. */
export interface Buildah {
  /** Options that stand before the command. */
  readonly options: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  /** Policy that lets every image in: who may name one is decided elsewhere. */
  readonly policyFile: string;
}

const forwarded = [
  ['HOME', 'XDG_RUNTIME_DIR', 'REGISTRY_AUTH_FILE', 'DOCKER_CONFIG'],
  ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'],
  ['SSL_CERT_FILE', 'SSL_CERT_DIR'],
].flat();

/** Variables that a program of ours is started with: a fixed path, and the named ones of the host that are set. */
export function childVariables(host: Variables, names: readonly string[]): Record<string, string> {
  const variables: Record<string, string> = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C.UTF-8',
  };
  for (const name of names) {
    const value = host[name];
    if (value !== undefined) variables[name] = value;
  }
  return variables;
}

/** Writes the configuration of this home's storage and says how buildah is called on it. */
export function prepareBuildah(home: OciHome, host: Variables): Buildah {
  const folder = join(home.folder, 'storage-configuration');
  mkdirSync(join(folder, 'empty'), { recursive: true, mode: 0o700 });
  const runFolder = join(home.runFolder, 'storage');
  const files = {
    'containers.conf':
      '[containers]\nhttp_proxy = false\n\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n',
    'registries.conf': 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "permissive"\n',
    'storage.conf': `[storage]\ndriver = "overlay"\ngraphroot = ${JSON.stringify(home.storageFolder)}\nrunroot = ${JSON.stringify(runFolder)}\n`,
    'policy.json': '{"default": [{"type": "insecureAcceptAnything"}]}\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  const variables = childVariables(host, forwarded);
  // Buildah fails with one that is not there yet, also where nobody asks for credentials.
  if (!existsSync(variables['REGISTRY_AUTH_FILE'] ?? '')) delete variables['REGISTRY_AUTH_FILE'];
  const storage = ['--root', home.storageFolder, '--runroot', runFolder, '--storage-driver', 'overlay'];
  const registries = ['--registries-conf', join(folder, 'registries.conf')];
  return {
    options: [...storage, ...registries, '--registries-conf-dir', join(folder, 'empty')],
    policyFile: join(folder, 'policy.json'),
    variables: {
      ...variables,
      CONTAINERS_CONF: join(folder, 'containers.conf'),
      CONTAINERS_REGISTRIES_CONF: join(folder, 'registries.conf'),
      CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
    },
  };
}

/**
 * Calls a command of buildah. It runs in mount and process namespaces of its own, because it mounts the folder of
 * the storage on itself and would leave that behind when it is killed. Errors: those of {@link runChild}.
 */
export function runBuildah(
  buildah: Buildah,
  args: readonly string[],
  options: Pick<ChildOptions, 'signal' | 'onLine'> & { readonly workingFolder?: string },
): Promise<ChildResult> {
  const own = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const unshare = [...own, `--wd=${options.workingFolder ?? '/'}`];
  const { variables } = buildah;
  return runChild('unshare', [...unshare, 'buildah', ...buildah.options, ...args], { ...options, variables });
}

/** Calls `work` with a new folder below the home and takes it away afterwards. */
export async function withTemporaryFolder<T>(
  home: OciHome,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const parent = join(home.folder, 'storage-temporary');
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(parent, 'work-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
