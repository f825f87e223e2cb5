/**
 * What root inside has to be able to do all the same: whoever closes a way out must not close these. The control runs
 * them as a user without any capability, where each has to fail.
 */
import type { Probe } from './probe.ts';

/** One thing that has to work; `attack` is the work. */
export type Need = Pick<Probe, 'name' | 'attack'>;

/** The words before `perl` that take every right away. */
export const powerless = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--bounding-set=-all',
];

/** The needs. */
export const needs: readonly Need[] = [
  {
    name: 'installing a package with files of other users and set-user-id programs',
    attack: String.raw`
      my $tree = folder();
      mkdir "$tree/$_" for qw(DEBIAN opt opt/probe);
      open(my $control, '>', "$tree/DEBIAN/control");
      print $control "Package: probe\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: probe\n";
      close $control;
      open(my $script, '>', "$tree/DEBIAN/postinst");
      print $script "#!/bin/sh\nchown 1000:1000 /opt/probe/file && chmod 4755 /opt/probe/file && chroot / true\n";
      close $script; chmod 0755, "$tree/DEBIAN/postinst";
      open(my $file, '>', "$tree/opt/probe/file"); close $file;
      my $done = system("dpkg-deb -b $tree $tree.deb >&2 && dpkg -i $tree.deb >&2") == 0 && -u '/opt/probe/file';
      system('dpkg -P probe >&2');
      $done && 'installed'`,
  },
  { name: 'giving files to other users', attack: String.raw`chown(1000, 1000, file()) ? 'given' : ''` },
  { name: 'becoming another user', attack: String.raw`POSIX::setgid(1000) && POSIX::setuid(1000) && 'done'` },
  {
    name: 'tracing a process of another user',
    attack: String.raw`
      my $pid = fork;
      if ($pid == 0) { POSIX::setuid(1000); sleep 10; POSIX::_exit(0) }
      select undef, undef, undef, 0.2;
      my $done = call('ptrace', 0x4206, $pid, 0, 0) >= 0 && ((stat "/proc/$pid")[4] == 1000);
      kill 'KILL', $pid; $done && 'traced'`,
  },
  {
    name: 'switching off the random layout of memory, as debuggers do',
    attack: String.raw`POSIX::setuid(0) && system('setarch', '-R', 'true') == 0 && 'done'`,
  },
  { name: 'a root folder of its own', attack: `works('chroot', '/tmp')` },
  {
    name: 'listening on a low port',
    attack: String.raw`
      socket(my $socket, PF_INET, SOCK_STREAM, 0);
      setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
      bind($socket, pack_sockaddr_in(81, INADDR_ANY)) && 'done'`,
  },
  { name: 'raw sockets for ping', attack: String.raw`socket(my $socket, PF_INET, SOCK_RAW, 1) && 'made'` },
  {
    name: 'capabilities of files',
    attack: String.raw`
      my $capability = pack('LLLLL', 0x02000001, 1 << 10, 0, 0, 0);
      works('setxattr', file(), 'security.capability', $capability, length $capability, 0)`,
  },
  {
    name: 'mounting in namespaces of its own',
    attack: String.raw`
      POSIX::setuid(0) or return;
      empower(NEWNS | NEWPID | NEWNET); mounted('tmpfs', folder(), 'tmpfs') && 'mounted'`,
  },
];
