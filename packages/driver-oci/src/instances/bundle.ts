/** The OCI bundle of an instance: what crun is told. Pure. */
import { capabilitySets } from './capabilities.ts';
import { coveredPaths } from './covers.ts';
import { seccompProfile } from './seccomp.ts';

/** What a bundle depends on. */
export interface BundleParts {
  /** Where the root file system is mounted. */
  readonly root: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly hostname: string;
  readonly userNamespaceFile: string;
  readonly base: number;
  readonly idCount: number;
  /** A network namespace to enter; without it one that has a loopback only. */
  readonly networkNamespaceFile?: string | undefined;
  /** The most files that this process itself may have open: nobody can give more than that. */
  readonly filesMax: number;
  /** As Node names it, such as `x64`. */
  readonly architecture: string;
}

/** More makes programs slow that close every number up to the limit. */
const filesEnough = 65536;

/** The group of terminals in every distribution; 5 is inside the range. */
const terminalGroup = 5;

const mounts = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=64k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', `gid=${terminalGroup}`],
  },
  // Counts as memory of whoever writes it, so the memory limit holds it.
  { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'nodev', 'mode=1777'] },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
];

/** The text of `config.json`. */
export function bundleConfiguration(parts: BundleParts): string {
  const files = Math.min(parts.filesMax, filesEnough);
  const mapping = [{ containerID: 0, hostID: parts.base, size: parts.idCount }];
  return JSON.stringify({
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: parts.arguments,
      env: Object.entries(parts.environment).map(([name, value]) => `${name}=${value}`),
      cwd: '/',
      capabilities: capabilitySets(),
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: files, soft: files }],
      // sudo must work.
      noNewPrivileges: false,
    },
    root: { path: parts.root, readonly: false },
    hostname: parts.hostname,
    mounts,
    linux: {
      namespaces: [
        { type: 'user', path: parts.userNamespaceFile },
        { type: 'network', ...(parts.networkNamespaceFile && { path: parts.networkNamespaceFile }) },
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        { type: 'cgroup' },
      ],
      uidMappings: mapping,
      gidMappings: mapping,
      seccomp: seccompProfile(parts.architecture),
      ...coveredPaths(),
      rootfsPropagation: 'private',
    },
  });
}
