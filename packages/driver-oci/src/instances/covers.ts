/** Paths of the kernel's own file systems that say more about the machine than about the environment, or change it. */

const log = 'counters that tell what others do, and when';
const layout = 'addresses of the kernel, which exploits need';
const hardware = 'the hardware of the machine, with switches in it';

/** Path, and why it is covered: inside it is an empty file or folder. */
export const maskedPaths: Readonly<Record<string, string>> = {
  '/proc/acpi': hardware,
  '/proc/asound': hardware,
  '/proc/interrupts': log,
  '/proc/kcore': 'the memory of the machine',
  '/proc/keys': 'keys are kept per user and not per namespace',
  '/proc/latency_stats': log,
  '/proc/sched_debug': layout,
  '/proc/scsi': hardware,
  '/proc/timer_list': layout,
  '/proc/timer_stats': log,
  '/sys/devices/virtual/powercap': 'the power that is used tells what is computed',
  '/sys/firmware': hardware,
  '/sys/fs/selinux': 'the security policy of the machine',
};

/** Path, and why it cannot be written inside. */
export const readonlyPaths: Readonly<Record<string, string>> = {
  '/proc/bus': hardware,
  '/proc/fs': 'settings of file systems of the machine',
  '/proc/irq': hardware,
  '/proc/sys': 'settings of the kernel',
  '/proc/sysrq-trigger': 'restarts the machine',
};

/** The part of a bundle that covers them. */
export function coveredPaths(): { readonly maskedPaths: string[]; readonly readonlyPaths: string[] } {
  return { maskedPaths: Object.keys(maskedPaths), readonlyPaths: Object.keys(readonlyPaths) };
}
