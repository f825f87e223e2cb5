/** Files, mounts, devices and open files: what of the host's can be seen, read or written. */
import type { Probe } from './probe.ts';

const bare = { control: 'bare' } as const;
/** A RUN step has neither the supervisor's runtime nor its socket. */
const supervised = ['environment', 'throw-away'] as const;

/** The probes. */
export const fileProbes: readonly Probe[] = [
  {
    ...bare,
    name: 'a file of the host by its path',
    protects: 'everything on the disk of the host',
    attack: 'readable($fact{secret})',
  },
  {
    ...bare,
    name: 'a file of the host above the root, out of a chroot',
    protects: 'everything on the disk of the host, against the classic way out of a chroot',
    attack: String.raw`
      opendir(my $top, '/'); my $inner = folder();
      call('chroot', $inner) >= 0 or return;
      chdir $top; chdir '..' for 1 .. 60;
      call('chroot', '.') >= 0 or return;
      readable($fact{secret})`,
  },
  {
    ...bare,
    name: 'the home of the daemon',
    protects: 'tokens, the ledger, disks and images of everybody',
    attack: String.raw`opendir(my $home, $fact{home}) ? "$fact{home} is there" : ''`,
  },
  {
    ...bare,
    name: 'a file of another environment by its path',
    protects: 'the disks of other environments',
    attack: 'readable($fact{other_file})',
  },
  {
    ...bare,
    name: 'the root of another process that is not its own',
    protects: 'the file systems of the host and of others, by way of /proc',
    attack: String.raw`
      for my $root (glob '/proc/[0-9]*/root') { my $text = readable("$root$fact{secret}"); return $text if $text }
      ''`,
  },
  {
    ...bare,
    name: 'sockets of container engines',
    protects: 'the host, since whoever may ask an engine is its root',
    attack: String.raw`
      for (qw(docker.sock containerd/containerd.sock podman/podman.sock crio/crio.sock buildkit/buildkitd.sock
              incus/unix.socket snapd.socket systemd/private dbus/system_bus_socket)) {
        for my $path ("/run/$_", "/var/run/$_") {
          my $text = connects(PF_UNIX, pack_sockaddr_un($path));
          return "$path $text" if $text;
        }
      }
      ''`,
  },
  {
    ...bare,
    name: 'a socket of the host by its path',
    protects: 'the daemon, its database, and every other service of the host',
    attack: 'connects(PF_UNIX, pack_sockaddr_un($fact{socket}))',
  },
  {
    ...bare,
    name: 'an abstract socket of the host',
    protects: 'services of the host that listen outside of the file system',
    attack: String.raw`connects(PF_UNIX, pack_sockaddr_un("\0$fact{abstract_socket}"))`,
  },
  {
    ...bare,
    name: 'disks of the host as devices',
    protects: 'everything on the disk of the host, below the file system',
    attack: String.raw`
      my @all = grep { -b } glob '/dev/* /dev/*/*';
      for (@all) { return "$_ can be opened" if sysopen(my $disk, $_, O_RDONLY | O_NONBLOCK) }
      ''`,
  },
  {
    ...bare,
    name: 'devices beyond the harmless ones',
    protects: 'memory, hypervisor, network and log of the host, and the drivers behind them',
    attack: String.raw`
      my @known = qw(null zero full random urandom tty ptmx pts/ptmx);
      my @all = grep { !-l && (-c || -b) } glob '/dev/* /dev/*/*';
      my @more = grep { my $path = $_; !grep { $path eq "/dev/$_" } @known } grep { !m{^/dev/pts/\d+$} } @all;
      join ' ', @more`,
  },
  {
    ...bare,
    name: 'a character device made by hand',
    protects: 'devices that are not given',
    attack: String.raw`
      my $path = folder() . '/null';
      call('mknodat', -100, $path, 0020666, 0x103) >= 0 && writable($path)`,
  },
  {
    ...bare,
    name: 'a block device made by hand',
    protects: 'the disk of the host, below the file system',
    attack: String.raw`call('mknodat', -100, folder() . '/loop', 0060600, 0x7ff) >= 0 && 'it was made'`,
  },
  ...['ext4', 'btrfs', 'xfs'].map((type): Probe => ({
    ...bare,
    name: `a file system of type ${type} of its own`,
    protects: 'the kernel, whose code for file systems does not expect forged ones',
    attack: String.raw`
      open(my $types, '<', '/proc/filesystems'); my $known = join '', <$types>;
      $known =~ /\t${type}$/m or return 'absent: the kernel has no ${type}';
      empower(NEWNS);
      return 'it was mounted' if mounted('/dev/null', folder(), '${type}', 0, '');
      $! == EPERM ? '' : "the kernel looked at it: $!"`,
  })),
  {
    ...bare,
    name: 'a fresh /proc without the covers of the first',
    protects: 'switches of the kernel that are covered or read-only',
    attack: String.raw`
      empower(NEWNS | NEWPID);
      my $place = folder();
      my $child = fork;
      if ($child == 0) { POSIX::_exit(mounted('proc', $place, 'proc') && -e "$place/sys" ? 1 : 0) }
      waitpid $child, 0;
      $? >> 8 ? 'it was mounted' : ''`,
  },
  {
    ...bare,
    name: 'a fresh /sys without the covers of the first',
    protects: 'settings of devices and firmware that are covered or read-only',
    attack: String.raw`empower(NEWNS | NEWNET); mounted('sysfs', folder(), 'sysfs') && 'it was mounted'`,
  },
  {
    ...bare,
    name: 'what is under a cover of /proc',
    protects: 'the same, by taking the cover away',
    attack: String.raw`
      empower(NEWNS);
      for (qw(interrupts bus keys sys sysrq-trigger fs irq timer_list acpi kcore)) {
        return "/proc/$_ was uncovered" if call('umount2', "/proc/$_", 2) >= 0;
      }
      ''`,
  },
  ...['/opt/atelier', '/run/atelier-link'].map((folder): Probe => ({
    ...bare,
    where: supervised,
    name: `writing into ${folder}, also after mounting it anew`,
    protects: "the supervisor's runtime and its way to the runner",
    attack: String.raw`
      my $try = sub { sysopen(my $file, '${folder}/planted', O_WRONLY | O_CREAT) ? 'a file was made' : '' };
      my $first = $try->(); return $first if $first;
      empower(NEWNS);
      mounted('none', '${folder}', '', 0x20 | 0x1000);
      $try->()`,
  })),
  ...['memory', 'pids', 'cgroup2'].map((controller): Probe => ({
    ...bare,
    name: `the limits of its own cgroup, by mounting ${controller}`,
    protects: 'limits, and the machine from a single environment',
    attack: String.raw`
      open(my $mine, '<', '/proc/self/cgroup'); my $cgroups = join '', <$mine>;
      $cgroups =~ /${controller === 'cgroup2' ? '^0::' : `:${controller}:`}/m or return 'absent: no such hierarchy';
      empower(NEWNS | NEWCGROUP);
      my $place = folder();
      mounted('cgroup', $place, ${controller === 'cgroup2' ? `'cgroup2'` : `'cgroup', 0, '${controller}'`}) or return;
      writable_below($place)`,
  })),
  {
    ...bare,
    name: 'a release agent',
    protects: 'the host, which runs that program as its root when a cgroup gets empty',
    attack: String.raw`
      my @found = grep { writable($_) } glob '/sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent';
      return "@found" if @found || !-e '/proc/self/ns/cgroup';
      empower(NEWNS | NEWCGROUP);
      my $place = folder();
      mounted('cgroup', $place, 'cgroup', 0, 'memory') && writable("$place/release_agent")`,
  },
  {
    ...bare,
    name: 'open files that lead to the host',
    protects: 'the file systems of the host, by a descriptor that was left open (CVE-2024-21626)',
    attack: String.raw`
      my @leaks;
      for my $link (glob '/proc/[0-9]*/fd/* /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe') {
        next if $link =~ m{^/proc/$$/};
        my $path = readlink $link;
        next if $path !~ m{^/} || $path =~ m{^/memfd:};
        my @there = stat $link or next;
        my @here = stat($path =~ s/ \(deleted\)$//r);
        push @leaks, "$link -> $path" if !@here || $here[0] != $there[0] || $here[1] != $there[1];
      }
      join ' ', grep { my ($pid) = m{/proc/(\d+)/}; -e "/proc/$pid" && $_ !~ /\(deleted\)$/ } @leaks`,
  },
];
