/** /proc, /sys and system calls that reach the kernel which all environments and the host share. */
import type { Probe } from './probe.ts';

const bare = { control: 'bare' } as const;

function secretOf(path: string, protects: string, attack = `readable('${path}')`): Probe {
  return {
    ...bare,
    name: `reading ${path}`,
    protects,
    attack: `-e '${path}' or return 'absent: the kernel has no ${path}';\n${attack}`,
  };
}

function switchOf(path: string, protects: string): Probe {
  const attack = `-e '${path}' or return 'absent: the kernel has no ${path}';\nwritable('${path}')`;
  return { ...bare, name: `writing ${path}`, protects, attack };
}

/**
 * A system call with words that do no harm where it is allowed: they make the kernel refuse it with another reason
 * than missing rights.
 */
function callOf(name: string, words: string, protects: string): Probe {
  const attack = `reached('${name}'${words === '' ? '' : `, ${words}`})`;
  return { ...bare, name: `the call ${name}`, protects, attack };
}

const addresses = 'where the kernel lies in memory, which exploits need';
const code = 'the kernel itself: its code could be replaced';
const parsers = 'the kernel: a large piece of it that was a way in before, and that nobody develops with';
const clock = 'the clock of the machine';
const keys = 'keys of the host and of other environments: they are kept per user';

const secrets: readonly Probe[] = [
  secretOf('/proc/kcore', 'the memory of the machine'),
  secretOf('/proc/keys', keys),
  secretOf('/proc/timer_list', addresses),
  secretOf(
    '/proc/kmsg',
    'the log of the machine',
    `sysopen(my $log, '/proc/kmsg', O_RDONLY) ? 'opened' : ''`,
  ),
  secretOf('/proc/kpagecount', 'which pages of memory are shared'),
  secretOf('/proc/vmallocinfo', addresses),
  secretOf('/proc/slabinfo', 'what the kernel does for others'),
  secretOf(
    '/proc/kallsyms',
    addresses,
    String.raw`
      open(my $file, '<', '/proc/kallsyms') or return;
      my $line = <$file>; $line =~ /^0*[1-9a-f]/ ? $line : ''`,
  ),
  secretOf(
    '/proc/iomem',
    addresses,
    String.raw`
      open(my $file, '<', '/proc/iomem') or return;
      my ($line) = grep { /-0*[1-9a-f]/ } <$file>; $line // ''`,
  ),
  {
    ...bare,
    name: 'firmware, tracing and debugging files below /sys',
    protects: 'the kernel: these files show and change how it works',
    attack: String.raw`
      join ' ', map { glob "/sys/$_/*" } qw(firmware kernel/debug kernel/tracing kernel/security fs/bpf fs/pstore)`,
  },
];

const switches: readonly Probe[] = [
  switchOf('/proc/sysrq-trigger', 'the machine: it could be crashed or restarted'),
  switchOf(
    '/proc/sys/kernel/core_pattern',
    'the host, which runs that program as root when something crashes',
  ),
  switchOf('/proc/sys/kernel/modprobe', 'the host, which runs that program as root when a module is wanted'),
  switchOf('/proc/sys/kernel/sysrq', 'what the keyboard may do to the machine'),
  switchOf('/proc/sys/kernel/hostname', 'the name of the host'),
  switchOf('/proc/sys/vm/drop_caches', 'the speed of everybody else'),
  switchOf('/proc/sys/net/ipv4/ip_forward', 'the routing of the host'),
  switchOf('/sys/power/state', 'the machine: it could be put to sleep'),
  switchOf(
    '/sys/kernel/uevent_helper',
    'the host, which runs that program as root for each event of a device',
  ),
  {
    ...bare,
    name: 'writing anything below /proc/sys',
    protects: 'switches of the kernel that nobody has thought of',
    attack: `writable_below('/proc/sys')`,
  },
  {
    ...bare,
    name: 'writing anything below /sys',
    protects: 'settings of devices and modules of the machine',
    attack: `writable_below('/sys/module', '/sys/kernel', '/sys/power', '/sys/block', '/sys/bus')`,
  },
  {
    ...bare,
    name: 'writing other files of /proc',
    protects: 'switches of the kernel outside of /proc/sys',
    attack: String.raw`
      my @own = map { "/proc/$_" } qw(self thread-self net mounts sys pressure);
      for my $path (glob '/proc/*') {
        next if $path =~ m{^/proc/\d+$} || grep { $_ eq $path } @own;
        my $text = -f $path ? writable($path) : -d $path ? writable_below($path) : '';
        return $text if $text && !-c $path;
      }
      ''`,
  },
];

const calls: readonly Probe[] = [
  callOf('init_module', '0, 0, ""', code),
  callOf('finit_module', '-1, "", 0', code),
  callOf('delete_module', '"atelier_no_such_module", 0x800', code),
  callOf('kexec_load', '0, 999, 0, 0xff', code),
  callOf('kexec_file_load', '-1, -1, 0, 0, 0xff', code),
  callOf('reboot', '0, 0, 0, 0', 'the machine'),
  callOf('bpf', '99, 0, 0', parsers),
  callOf('perf_event_open', '0, 0, -1, -1, 0', parsers),
  callOf('userfaultfd', '0x10000', 'the kernel: it could be held up in the middle of a fault'),
  callOf('io_uring_setup', '0, 0', `${parsers}; and it makes system calls past the filter`),
  callOf('io_uring_enter', '-1, 0, 0, 0, 0, 0', 'the same'),
  callOf('io_uring_register', '-1, 0, 0, 0', 'the same'),
  callOf('keyctl', '0, -3, 0', keys),
  callOf('add_key', '0, 0, 0, 0, 0', keys),
  callOf('request_key', '0, 0, 0, 0', keys),
  callOf('open_by_handle_at', '-1, 0, 0', 'files past every mount boundary, by their inode'),
  callOf('settimeofday', 'pack("qq", 0, 2_000_000), 0', clock),
  callOf('clock_settime', '0, pack("qq", 0, 2_000_000_000)', clock),
  callOf('adjtimex', '0', clock),
  callOf('clock_adjtime', '0, 0', clock),
  callOf('swapon', '"/atelier/no/such/file", 0', 'the memory of the machine'),
  callOf('swapoff', '"/atelier/no/such/file"', 'the memory of the machine'),
  callOf('acct', '1', 'what the machine writes down of its processes'),
  callOf('quotactl', '0, 0, 0, 0', 'quotas of the file systems of the host'),
  callOf('syslog', '10, 0, 0', 'the log of the machine'),
  callOf('move_pages', '0, 0, 0, 0, 0, 0xff', 'where the memory of others lies'),
  callOf('migrate_pages', '0, 0, 0, 0', 'where the memory of others lies'),
];

/** Families of sockets by their number: none of them is of use inside, and each is a piece of kernel. */
const families: Readonly<Record<string, number>> = {
  'to the hypervisor': 40,
  'of the kernel for ciphers': 38,
  'of Bluetooth': 31,
  'of cars': 29,
  'of clusters (TIPC)': 30,
  'of AppleTalk': 5,
  'of fast packets (XDP)': 44,
};

const sockets: readonly Probe[] = [
  ...Object.entries(families).map(([name, family]) => ({
    ...callOf(
      'socket',
      `${family}, 2, 0`,
      'the kernel, and what is below it: such sockets know no network namespace',
    ),
    name: `sockets ${name}`,
  })),
  {
    ...bare,
    name: 'sockets to the hypervisor, by a number that the kernel cuts off and the filter does not',
    protects: 'whatever listens below this machine',
    attack: `reached('socket', (1 << 32) + 40, 1, 0)`,
  },
];

/** What a 32-bit program may do is another list of calls; the numbers are its own. */
const calls32: readonly Probe[] = [
  ['keyctl', 288, '0, 0xfffffffd, 0', keys],
  ['bpf', 357, '99, 0, 0', parsers],
  ['socketcall', 102, '99, 0, 0', 'sockets to the hypervisor: the filter cannot see which one is asked for'],
].map(([name, number, words, protects]): Probe => ({
  ...bare,
  name: `the call ${name} of a 32-bit program`,
  protects: String(protects),
  attack: String.raw`
    my $errno = call32(${number}, ${words});
    return 'absent: the kernel runs no 32-bit programs' if $errno < 0;
    $errno == EPERM ? '' : "the kernel answered with errno $errno"`,
}));

/** The probes. */
export const kernelProbes: readonly Probe[] = [...secrets, ...switches, ...calls, ...sockets, ...calls32];
