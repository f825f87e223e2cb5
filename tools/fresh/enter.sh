# Run by tools/fresh.ts in new mount, pid, cgroup and uts namespaces: makes the unpacked root this process's root.
# Arguments: the root, the folder to start in, the command. $FRESH_CGROUPS: one "mount type options" per line.
set -eu
root=$1
folder=$2
shift 2

mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/net" "$root/run/lock"
for device in null zero full random urandom tty fuse net/tun kvm; do
  [ -e "/dev/$device" ] || continue
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

if [ -d "$root/sys/fs/cgroup" ] && ! echo "$FRESH_CGROUPS" | grep -q '^/sys/fs/cgroup '; then
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
fi
echo "$FRESH_CGROUPS" | while read -r where type options; do
  mkdir -p "$root$where"
  mount -t "$type" ${options:+-o "$options"} "$type" "$root$where"
done
hostname fresh

cd "$root"
mkdir -p .before
pivot_root . .before
umount -l /.before
rmdir /.before
unset FRESH_CGROUPS
cd "$folder"
exec "$@"
