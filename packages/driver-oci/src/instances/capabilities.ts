/**
 * What root inside may do inside. All of it counts in the environment's own user namespace only; what is not
 * in the table would reach things that are shared.
 */

/** Capability, and why it is there; the bundle is made from it. */
export const grantedCapabilities: Readonly<Record<string, string>> = {
  CAP_AUDIT_WRITE: 'sudo and login write to the audit log and fail without',
  CAP_CHOWN: 'package managers give files to users',
  CAP_DAC_OVERRIDE: 'root reads and writes every file of the environment',
  CAP_FOWNER: 'root changes modes and times of files of others',
  CAP_FSETID: 'set-group-id bits survive a change by root',
  CAP_KILL: 'root ends processes of others',
  CAP_NET_BIND_SERVICE: 'servers listen below port 1024',
  CAP_NET_RAW: 'ping and traceroute; a foreign source address is dropped outside',
  CAP_SETFCAP: 'packages give capabilities to files',
  CAP_SETGID: 'sudo and su',
  CAP_SETPCAP: 'sudo and su drop capabilities',
  CAP_SETUID: 'sudo and su',
  CAP_SYS_CHROOT: 'package builds and sshd use chroot',
  CAP_SYS_PTRACE: 'debuggers attach to processes of other users',
};

/** Those of them that container engines (containers-common) do not give by default. */
export const moreCapabilities: readonly string[] = ['CAP_AUDIT_WRITE', 'CAP_NET_RAW', 'CAP_SYS_PTRACE'];

/** The capabilities section of a bundle. */
export function capabilitySets(): Record<string, readonly string[]> {
  const names = Object.keys(grantedCapabilities);
  return { bounding: names, effective: names, permitted: names, inheritable: [], ambient: [] };
}
