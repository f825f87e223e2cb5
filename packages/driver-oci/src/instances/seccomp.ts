/**
 * System calls that nothing inside may make. The list names what reaches past the namespaces or is a large
 * piece of kernel that no development tool needs; what user namespaces already make harmless (mounting, new
 * namespaces, ptrace between own processes) stays allowed, for debuggers, package managers and rootless tools.
 */

/** A reason, and the system calls that it is for. */
export type Reasoned = readonly [reason: string, calls: readonly string[]];

/** What is refused whatever its arguments are. */
export const refusedCalls: readonly Reasoned[] = [
  [
    'loads code into the kernel that all environments share',
    ['init_module', 'finit_module', 'delete_module'],
  ],
  ['replaces the running kernel', ['kexec_load', 'kexec_file_load', 'reboot']],
  ['runs programs in the kernel; its verifier is a steady source of escapes', ['bpf']],
  ['watches the whole machine, and its parser is a steady source of escapes', ['perf_event_open']],
  ['holds the kernel up in the middle of a fault, which exploits need', ['userfaultfd']],
  ['keys are kept per user and not per namespace', ['keyctl', 'add_key', 'request_key']],
  ['opens files by inode, past every mount boundary', ['open_by_handle_at']],
  [
    'a second way to make system calls, past this filter',
    ['io_uring_setup', 'io_uring_enter', 'io_uring_register'],
  ],
  ['swap and accounting belong to the machine', ['swapon', 'swapoff', 'acct', 'quotactl', 'quotactl_fd']],
  [
    'the clock belongs to the machine',
    [
      'settimeofday',
      'clock_settime',
      'clock_settime64',
      'clock_adjtime',
      'clock_adjtime64',
      'adjtimex',
      'stime',
    ],
  ],
  ['talks to hardware', ['iopl', 'ioperm', 'pciconfig_iobase', 'pciconfig_read', 'pciconfig_write']],
  ['reads the log of the machine', ['syslog']],
  ['moves memory between nodes of the machine', ['move_pages', 'migrate_pages']],
  [
    'hands pages of memory over without a copy, on which the layers of images have been overwritten',
    ['vmsplice'],
  ],
  [
    'makes the sockets of 32-bit programs, of any family, where the filter cannot see which: the C library of Debian for 32 bits needs it for networks',
    ['socketcall'],
  ],
  [
    'old calls that no current program makes',
    'bdflush lookup_dcookie nfsservctl query_module uselib ustat sysfs _sysctl vm86 vm86old modify_ldt'.split(
      ' ',
    ),
  ],
];

/**
 * What the default profile of container engines (containers-common) refuses and this one does not. That profile is
 * a list of what is allowed, so that it also refuses calls that are newer than the list.
 */
export const moreOpen: readonly Reasoned[] = [
  [
    'debuggers switch off the random layout of memory, and `setarch` shows another machine: a process changes itself only',
    ['personality'],
  ],
  [
    'watches files for a user; watching a whole mount or deciding over others needs a capability',
    ['fanotify_init'],
  ],
  [
    'needs a capability that is not given, and works in namespaces of a user’s own',
    ['sethostname', 'setdomainname'],
  ],
  ['needs a capability that is not given', ['vhangup']],
  ['the newer form of a call that the profile allows', ['io_pgetevents', 'sync_file_range2']],
  [
    'older forms of calls that the profile allows, for 32-bit programs',
    ['nice', 'oldfstat', 'oldlstat', 'oldolduname', 'oldstat', 'olduname', 'sgetmask', 'ssetmask'],
  ],
  [
    'exist on other architectures only',
    'arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls swapcontext s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr'.split(
      ' ',
    ),
  ],
];

/** Families of sockets that may be made, by their number, each with what needs it. */
export const socketFamilies: ReadonlyArray<readonly [family: number, name: string, reason: string]> = [
  [0, 'AF_UNSPEC', 'no family; the kernel answers by itself'],
  [1, 'AF_UNIX', 'programs of one environment among themselves; abstract names end at its network namespace'],
  [2, 'AF_INET', 'IPv4'],
  [10, 'AF_INET6', 'IPv6'],
  [16, 'AF_NETLINK', '`ip`, name resolution and many language runtimes ask the kernel for interfaces'],
  [17, 'AF_PACKET', '`tcpdump` and `arping`; what they forge is dropped outside'],
];

/** Pushes characters into a terminal as if they were typed. */
const typeIntoTerminal = 0x5412;

const architectures: Partial<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
};

/**
 * Conditions on the family that together meet every one that is not in the table. What is above the last is refused
 * as a range: the kernel cuts the number off at 32 bits, and by single numbers one with a bit above them would pass.
 */
function otherFamilies(): object[] {
  const known = socketFamilies.map(([family]) => family);
  const last = Math.max(...known);
  const others = Array.from({ length: last }, (_, family) => family).filter(
    (family) => !known.includes(family),
  );
  return [
    ...others.map((value) => ({ index: 0, value, op: 'SCMP_CMP_EQ' })),
    { index: 0, value: last, op: 'SCMP_CMP_GT' },
  ];
}

/** The seccomp section of a bundle for an architecture as Node names it. */
export function seccompProfile(architecture: string): object {
  const refuse = { action: 'SCMP_ACT_ERRNO', errnoRet: 1 };
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: architectures[architecture] ?? [],
    syscalls: [
      { names: refusedCalls.flatMap(([, calls]) => calls), ...refuse },
      ...otherFamilies().map((condition) => ({
        names: ['socket', 'socketpair'],
        ...refuse,
        args: [condition],
      })),
      {
        names: ['ioctl'],
        ...refuse,
        args: [{ index: 1, value: 0xffffffff, valueTwo: typeIntoTerminal, op: 'SCMP_CMP_MASKED_EQ' }],
      },
    ],
  };
}
