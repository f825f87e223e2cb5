import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** A file, folder or program of the archive by its path from the root. */
interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly data: Buffer;
}

const folderMode = 0o040755;
const programMode = 0o100755;

/** What the guest does before anything of the checkout. */
export interface Startup {
  /** Kernel modules to load, in this order. */
  readonly moduleFiles: readonly string[];
  /** Folder of the kernel's modules, seen from the root that is shared. */
  readonly modulesFolder: string;
  readonly release: string;
  /** A shell script that runs on the shared root, in the checkout. */
  readonly script: string;
  /** Printed before the exit code of the script. */
  readonly endMark: string;
}

/**
 * The first root of the guest: a shell and modules. It puts a writable layer, which lies on the disk, over the shared
 * root of this machine and runs the script there, on a kernel whose only cgroups are those of version 2.
 */
export function initramfs(startup: Startup): Buffer {
  const folders = ['bin', 'dev', 'proc', 'sys', 'modules', 'shared', 'disk', 'root'];
  return archive([
    ...folders.map((path) => ({ path, mode: folderMode, data: Buffer.alloc(0) })),
    { path: 'bin/busybox', mode: programMode, data: readFileSync('/bin/busybox') },
    ...startup.moduleFiles.map((file) => ({
      path: `modules/${basename(file)}`,
      mode: programMode,
      data: readFileSync(file),
    })),
    { path: 'script', mode: programMode, data: Buffer.from(startup.script) },
    { path: 'last', mode: programMode, data: Buffer.from(last(startup)) },
    { path: 'init', mode: programMode, data: Buffer.from(init(startup)) },
  ]);
}

function init({ moduleFiles, modulesFolder, release, endMark }: Startup): string {
  return `#!/bin/busybox sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
/bin/busybox --install -s /bin
end() { echo "${endMark} $1"; sync; poweroff -f; }
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs devices /dev || end 101
for module in ${moduleFiles.map((file) => basename(file)).join(' ')}; do
  insmod /modules/$module || end 102
done
mount -t virtiofs -o ro shared /shared && mount -t ext4 /dev/vda /disk || end 103
mkdir -p /disk/upper /disk/work /disk/tmp && chmod 1777 /disk/tmp
mount -t overlay -o lowerdir=/shared,upperdir=/disk/upper,workdir=/disk/work overlay /root || end 104
mkdir -p /root/proc /root/sys /root/dev /root/run /root/var/tmp
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t cgroup2 -o nsdelegate cgroup2 /root/sys/fs/cgroup || end 105
mount -t devtmpfs devices /root/dev
mkdir -p /root/dev/pts /root/dev/shm /root/dev/mqueue
mount -t devpts -o ptmxmode=0666,mode=620 devpts /root/dev/pts
mount -t tmpfs -o mode=755 run /root/run
mount -t tmpfs shm /root/dev/shm
mount --bind /disk/tmp /root/var/tmp
mount --bind /disk/tmp /root/tmp
mkdir -p /root/lib/modules/${release}
mount --bind /shared${modulesFolder} /root/lib/modules/${release} || end 106
ln -s /bin/busybox /root/run/modprobe && echo /run/modprobe >/proc/sys/kernel/modprobe
cp /script /last /root/run/
ip link set lo up
# In a changed root alone the kernel refuses user namespaces.
exec switch_root /root /bin/sh /run/last
`;
}

function last({ endMark }: Startup): string {
  return `sh /run/script
echo "${endMark} $?"
sync
exec /bin/busybox poweroff -f
`;
}

/** The archive in the form "newc", which the kernel unpacks. */
function archive(entries: readonly Entry[]): Buffer {
  const all = [...entries, { path: 'TRAILER!!!', mode: 0, data: Buffer.alloc(0) }];
  return Buffer.concat(all.flatMap((entry, index) => record(entry, index + 1)));
}

function record({ path, mode, data }: Entry, inode: number): Buffer[] {
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, path.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${path}\0`;
  return [padded(Buffer.from(header)), padded(data)];
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
}
