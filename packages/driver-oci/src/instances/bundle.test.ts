import { describe, expect, it } from 'vitest';
import { bundleConfiguration } from './bundle.ts';
import { etcFiles } from './etc.ts';

const parts = {
  root: '/root-of-it',
  arguments: ['/init'],
  environment: { NAME: 'a value' },
  hostname: 'host',
  userNamespaceFile: '/ns/user',
  base: 1_900_000_000,
  idCount: 65536,
  filesMax: 20_000,
  architecture: 'x64',
};

interface Configuration {
  process: {
    capabilities: Record<string, string[]>;
    rlimits: Array<{ type: string; hard: number }>;
    env: string[];
    noNewPrivileges: boolean;
  };
  linux: {
    namespaces: Array<{ type: string; path?: string }>;
    uidMappings: unknown;
    seccomp: { syscalls: Array<{ names: string[]; action: string }> };
  };
}

const configuration = (different = {}): Configuration =>
  JSON.parse(bundleConfiguration({ ...parts, ...different })) as Configuration;

describe('a bundle', () => {
  it('gives no capability that reaches past the namespaces, and lets sudo work', () => {
    const { bounding, effective, ambient } = configuration().process.capabilities;
    expect(bounding).toEqual(effective);
    expect(ambient).toEqual([]);
    for (const refused of ['SYS_ADMIN', 'NET_ADMIN', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_BOOT', 'BPF', 'MKNOD']) {
      expect(bounding).not.toContain(`CAP_${refused}`);
    }
    expect(configuration().process.noNewPrivileges).toBe(false);
  });

  it('refuses the ways past a filter and into the kernel', () => {
    const refused = configuration().linux.seccomp.syscalls.flatMap(({ names }) => names);
    expect(refused).toEqual(
      expect.arrayContaining(['bpf', 'io_uring_setup', 'keyctl', 'open_by_handle_at', 'kexec_load']),
    );
    for (const needed of ['ptrace', 'mount', 'unshare', 'clone3', 'chroot'])
      expect(refused).not.toContain(needed);
  });

  it('enters the namespaces of its environment, or a network of its own', () => {
    const { namespaces, uidMappings } = configuration({ networkNamespaceFile: '/ns/network' }).linux;
    expect(namespaces).toContainEqual({ type: 'user', path: '/ns/user' });
    expect(namespaces).toContainEqual({ type: 'network', path: '/ns/network' });
    expect(uidMappings).toEqual([{ containerID: 0, hostID: 1_900_000_000, size: 65536 }]);
    expect(configuration().linux.namespaces).toContainEqual({ type: 'network' });
  });

  it('gives no more files than this process has, and not so many that programs get slow', () => {
    expect(configuration().process.rlimits[0]?.hard).toBe(20_000);
    expect(configuration({ filesMax: 1_000_000 }).process.rlimits[0]?.hard).toBe(65_536);
  });
});

describe('the files of /etc', () => {
  it('name the host, its address and who resolves names', () => {
    const files = etcFiles({ hostname: 'mine', address: '10.0.0.3', gateway: '10.0.0.2' });
    expect(files['hosts']).toContain('10.0.0.3 mine');
    expect(files['resolv.conf']).toContain('nameserver 10.0.0.2');
  });

  it('name nobody without a network', () => {
    expect(etcFiles({ hostname: 'mine' })['resolv.conf']).toBe('');
    expect(etcFiles({ hostname: 'mine' })['hosts']).toContain('127.0.1.1 mine');
  });
});
