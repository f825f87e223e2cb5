/**
 * System calls that nothing inside may make. The list names what reaches past the namespaces or is a large
 * piece of kernel that no development tool needs; what user namespaces already make harmless (mounting, new
 * namespaces, ptrace between own processes) stays allowed, for debuggers, package managers and rootless tools.
 */

/** Reason, and the calls that are refused for it. */
const refused: ReadonlyArray<readonly [reason: string, calls: readonly string[]]> = [
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
    'old calls that no current program makes',
    ['lookup_dcookie', 'nfsservctl', 'uselib', 'ustat', 'sysfs', '_sysctl', 'vm86', 'vm86old', 'modify_ldt'],
  ],
];

/** Address family of sockets to the hypervisor below: it knows no network namespace. */
const hypervisorSockets = 40;
/** Pushes characters into a terminal as if they were typed. */
const typeIntoTerminal = 0x5412;

const architectures: Partial<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
};

/** The seccomp section of a bundle for an architecture as Node names it. */
export function seccompProfile(architecture: string): object {
  const refuse = { action: 'SCMP_ACT_ERRNO', errnoRet: 1 };
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: architectures[architecture] ?? [],
    syscalls: [
      { names: refused.flatMap(([, calls]) => calls), ...refuse },
      { names: ['socket'], ...refuse, args: [{ index: 0, value: hypervisorSockets, op: 'SCMP_CMP_EQ' }] },
      {
        names: ['ioctl'],
        ...refuse,
        args: [{ index: 1, value: 0xffffffff, valueTwo: typeIntoTerminal, op: 'SCMP_CMP_MASKED_EQ' }],
      },
    ],
  };
}
