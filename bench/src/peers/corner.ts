/**
 * Where the peers run: mount, network and process namespaces of their own, with an empty /run. There podman finds
 * its bridge, its firewall rules and its runtime state, and all of it is gone with the namespaces: the machine and
 * its own containers are not touched.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { AtelierError } from '@atelier/api';

/** The namespaces of the peers. */
export interface Corner {
  /** The words that stand before a command that is to run there. */
  readonly enter: readonly string[];
  /** Ends everything that runs there. */
  close(): Promise<void>;
}

const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
// podman's crun refuses a machine that has both versions of cgroups: here the second one is out of sight.
const prepare = `set -eu
ip link set lo up
[ ! -d /sys/fs/cgroup/memory ] || umount --lazy /sys/fs/cgroup/unified 2>/dev/null || true
mount -t tmpfs tmpfs /run
echo ready
# The end of its input is the end of the bench, however that came about.
exec catatonit -- cat >/dev/null
`;

/** Opens the corner. Errors: `failed_precondition` when namespaces cannot be made here. */
export async function openCorner(): Promise<Corner> {
  const holder = spawn('unshare', [...namespaces, 'sh', '-c', prepare], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const first = await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')]);
  if (String(first[0]).trim() !== 'ready') {
    throw new AtelierError(
      'failed_precondition',
      'no namespaces can be made for the peers: run the bench as root',
    );
  }
  const pid = await insidePid(holder);
  return {
    enter: ['nsenter', `--target=${pid}`, '--mount', '--net', '--pid'],
    async close() {
      if (holder.exitCode !== null || holder.signalCode !== null) return;
      const gone = once(holder, 'exit');
      holder.kill('SIGKILL');
      await gone;
    },
  };
}

/** The process that unshare started: PID 1 of the namespaces. */
async function insidePid(holder: ChildProcess): Promise<number> {
  const children = await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8');
  return Number(children.trim().split(' ')[0]);
}
