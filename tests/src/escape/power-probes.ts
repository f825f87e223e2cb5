/** Capabilities over what is not the environment's own, and processes and namespaces of others. */
import type { Probe } from './probe.ts';

const bare = { control: 'bare' } as const;

const namespaces: readonly Probe[] = ['user', 'pid', 'net', 'ipc', 'uts', 'cgroup'].map((kind) => ({
  ...bare,
  name: `the ${kind} namespace of the host`,
  protects: 'everything of the host that belongs to that namespace',
  attack: String.raw`
    my @found = grep { readlink($_) eq $fact{namespace_${kind}} } glob '/proc/[0-9]*/ns/${kind}';
    @found ? "$found[0] is that of the host" : ''`,
}));

const processes: readonly Probe[] = [
  {
    ...bare,
    name: 'a process of the host',
    protects: 'what the host runs, with its arguments',
    attack: 'process_with($fact{host_process})',
  },
  {
    ...bare,
    name: 'a process of another environment',
    protects: 'what others run, with their arguments',
    attack: 'process_with($fact{other_process})',
  },
  {
    ...bare,
    name: 'a signal to a process of the host',
    protects: 'what the host runs',
    attack: String.raw`
      my $pid = $fact{host_pid};
      kill(0, $pid) && process_with($fact{host_process}) == $pid ? 'it takes signals' : ''`,
  },
  {
    ...bare,
    name: 'the memory of a process of the host',
    protects: 'secrets in the memory of the host',
    attack: String.raw`
      my $pid = $fact{host_pid};
      process_with($fact{host_process}) == $pid && sysopen(my $memory, "/proc/$pid/mem", O_RDONLY) ? 'opened' : ''`,
  },
  {
    ...bare,
    name: 'entering a namespace of a process of the host',
    protects: 'everything of the host',
    attack: String.raw`
      sysopen(my $namespace, "/proc/$fact{host_pid}/ns/net", O_RDONLY) or return;
      readlink("/proc/$fact{host_pid}/ns/net") eq $fact{namespace_net} or return;
      works('setns', fileno $namespace, 0)`,
  },
  {
    ...bare,
    name: 'shared memory of the host',
    protects: 'what programs of the host share',
    attack: `works('shmget', 0 + $fact{shared_memory}, 0, 0)`,
  },
];

const capabilities: readonly Probe[] = [
  {
    ...bare,
    name: 'files of users who are not its own',
    protects: 'the ids of the host and of other environments',
    attack: String.raw`my $path = file(); chown(200_000, 200_000, $path) ? 'chown worked' : ''`,
  },
  {
    ...bare,
    name: 'becoming a user who is not its own',
    protects: 'the ids of the host and of other environments',
    attack: String.raw`POSIX::setuid(200_000) ? 'setuid worked' : ''`,
  },
  {
    ...bare,
    name: 'the name of the machine',
    protects: 'the name of the host',
    attack: String.raw`my $name = (POSIX::uname())[1]; works('sethostname', $name, length $name)`,
  },
  {
    ...bare,
    name: 'going before everybody else by nice',
    protects: 'the processors of everybody else',
    attack: String.raw`setpriority(0, 0, -5) ? 'it worked' : ''`,
  },
  {
    ...bare,
    name: 'going before everybody else in real time',
    protects: 'the processors of everybody else',
    attack: `works('sched_setscheduler', 0, 1, pack('l', 1))`,
  },
  {
    ...bare,
    name: 'holding more memory than may be locked',
    protects: 'the memory of the machine',
    attack: String.raw`
      open(my $limits, '<', '/proc/self/limits'); my ($bytes) = join('', <$limits>) =~ /Max locked memory +(\d+)/;
      return 'absent: the machine gives everybody much' if !$bytes || $bytes > 64 << 20;
      my $size = $bytes + (1 << 20); my $memory = "\1" x $size;
      works('mlock', $memory, $size)`,
  },
  {
    ...bare,
    name: 'the attributes that only the machine trusts',
    protects: 'overlays and file systems that believe them',
    attack: `works('setxattr', file(), 'trusted.probe', 'x', 1, 0)`,
  },
  {
    ...bare,
    name: 'watching what the whole machine opens',
    protects: 'what everybody else does, and whether they may',
    attack: `works('fanotify_init', 4, 0)`,
  },
  {
    ...bare,
    name: 'the settings of an interface',
    protects: 'its address and route, which the rules of the host rely on',
    attack: String.raw`
      socket(my $socket, PF_INET, SOCK_DGRAM, 0);
      my $request = pack('a16 x24', 'lo');
      ioctl($socket, 0x8921, $request) or die "reading the settings: $!";
      ioctl($socket, 0x8922, $request) ? 'they were set' : ''`,
  },
  {
    ...bare,
    name: 'the input and output of the machine',
    protects: 'its hardware',
    attack: String.raw`
      return 'absent: this architecture has none' if (POSIX::uname())[4] ne 'x86_64';
      reached('ioperm', 0x80, 1, 1)`,
  },
  {
    ...bare,
    name: 'typing into a terminal of somebody else',
    protects: 'whoever opens a terminal and is served by another user inside',
    attack: String.raw`
      sysopen(my $master, '/dev/ptmx', O_RDWR) or die "a terminal: $!";
      my ($number, $index, $key) = (pack('L', 0), pack('L', 0), 'x');
      ioctl($master, 0x40045431, $number) && ioctl($master, 0x80045430, $index) or die "a terminal: $!";
      sysopen(my $terminal, '/dev/pts/' . unpack('L', $index), O_RDWR | O_NOCTTY) or die "a terminal: $!";
      ioctl($terminal, 0x5412, $key) ? 'a key was typed' : ''`,
  },
];

/** The probes. */
export const powerProbes: readonly Probe[] = [...namespaces, ...processes, ...capabilities];
