/**
 * Where attacks are known to get through. An attack that is stopped there too is blind: it would be stopped whatever
 * an environment does.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, rmSync, writeFileSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { programs } from '../machine.ts';

/** What a bare container needs to know. */
export interface BareParts {
  /** A folder for its bundle, which is taken away again. */
  readonly folder: string;
  /** Perl program that it runs. */
  readonly program: string;
  /** A socket that it finds where a container engine has its own. */
  readonly engineSocket: string;
  /** A file of which it is given an open descriptor, at a place that it does not see. */
  readonly leak: string;
}

const everyCapability = [
  'AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER',
  'FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE',
  'NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE',
  'SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG WAKE_ALARM',
]
  .join(' ')
  .split(' ')
  .map((name) => `CAP_${name}`);

/**
 * Runs a program as the worst of containers would: the root of the host as its own, all namespaces but that of
 * mounts shared with it, every capability, no filter, and gives what the program printed. Attacks are written so
 * that they only look, or change what the test has made.
 */
export async function runBare(parts: BareParts): Promise<string> {
  const { folder } = parts;
  const root = join(folder, 'root');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(folder, 'program.pl'), parts.program);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(bundle(parts, root)));
  // All of it in a namespace of mounts that goes with it; crun refuses to work where it sees both cgroup versions.
  const script = `set -e
    mount --bind / "$1/root"
    mount -o remount,bind,ro "$1/root"
    umount --lazy /sys/fs/cgroup/unified 2>/dev/null || true
    exec crun --root "$1/crun" --cgroup-manager=disabled run --bundle "$1" "bare-$2"`;
  const leak = openSync(parts.leak, 'r');
  try {
    const child = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', folder, String(process.pid)], {
      env: programs.variables,
      stdio: [leak, 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
    await once(child, 'close');
    return output;
  } finally {
    closeSync(leak);
    rmSync(folder, { recursive: true, force: true });
  }
}

function bundle({ folder, engineSocket }: BareParts, root: string): object {
  const bind = (source: string, destination: string): object => ({
    source,
    destination,
    type: 'bind',
    options: ['rbind'],
  });
  const empty = (destination: string, ...options: string[]): object => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options,
  });
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['perl', '/run/program.pl'],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'],
      cwd: '/',
      capabilities: Object.fromEntries(
        ['bounding', 'effective', 'permitted'].map((set) => [set, everyCapability]),
      ),
    },
    root: { path: root, readonly: false },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      bind('/sys', '/sys'),
      bind('/dev', '/dev'),
      empty('/run'),
      empty('/tmp'),
      // What the same place inside is: read-only.
      empty('/opt', 'size=1m'),
      empty('/opt/atelier', 'ro'),
      empty('/run/atelier-link', 'ro'),
      bind(join(folder, 'program.pl'), '/run/program.pl'),
      bind(engineSocket, '/run/docker.sock'),
    ],
    linux: {
      namespaces: [{ type: 'mount' }],
      maskedPaths: ['/proc/interrupts'],
      readonlyPaths: ['/proc/bus'],
    },
  };
}

/** Runs `work` while the rules of a table that drop or refuse do not hold, and puts them back. */
export async function withoutRules<T>(table: string, work: () => Promise<T>): Promise<T> {
  const nft = (words: readonly string[], input?: string): string =>
    execFileSync('nft', words, { encoding: 'utf8', ...(input !== undefined && { input }) });
  const rules = nft(['list', 'table', 'inet', table]);
  for (const chain of ['source', 'local', 'outward', 'inward']) nft(['flush', 'chain', 'inet', table, chain]);
  try {
    return await work();
  } finally {
    nft(['-f', '-'], `delete table inet ${table}\n${rules}`);
  }
}
