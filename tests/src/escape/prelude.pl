# What the attacks of the escape suite are written with. Perl, because every Debian has it and it can make any system
# call; nothing but its base modules, so that it runs in the smallest image.
use strict;
no warnings;
use Errno qw(EPERM EACCES ENOENT ENOSYS);
use Fcntl qw(:DEFAULT :mode);
use POSIX ();
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);

our %fact;
my $machine = (POSIX::uname())[4];

# Numbers on x86_64 and aarch64; from 424 on they are the same everywhere.
my %numbers = (
  acct => [163, 89], add_key => [248, 217], adjtimex => [159, 171], bpf => [321, 280], chroot => [161, 51],
  clock_adjtime => [305, 266], clock_settime => [227, 112], delete_module => [176, 106],
  fanotify_init => [300, 262], finit_module => [313, 273], init_module => [175, 105],
  ioperm => [173, -1], iopl => [172, -1], keyctl => [250, 219], kexec_file_load => [320, 294],
  kexec_load => [246, 104], lookup_dcookie => [212, 18], migrate_pages => [256, 238], mlock => [149, 228],
  mount => [165, 40], move_pages => [279, 239], open_by_handle_at => [304, 265],
  perf_event_open => [298, 241], process_vm_readv => [310, 270], ptrace => [101, 117], quotactl => [179, 60],
  reboot => [169, 142], request_key => [249, 218], sched_setscheduler => [144, 119],
  sethostname => [170, 161], setns => [308, 268], settimeofday => [164, 170], setxattr => [188, 5],
  shmget => [29, 194], socket => [41, 198], swapoff => [168, 225], swapon => [167, 224], syslog => [103, 116],
  umount2 => [166, 39], unshare => [272, 97], userfaultfd => [323, 282], pidfd_open => [434, 434],
  io_uring_setup => [425, 425], io_uring_enter => [426, 426], io_uring_register => [427, 427],
  quotactl_fd => [443, 443], mknodat => [259, 33],
);

use constant {
  NEWNS => 0x20000, NEWCGROUP => 0x2000000, NEWUSER => 0x10000000, NEWPID => 0x20000000, NEWNET => 0x40000000,
};

# A system call; its result, with $! set. A text may be given for a pointer to it.
sub call {
  my ($name, @words) = @_;
  my $number = ($numbers{$name} or die "no number for $name")->[$machine eq 'aarch64' ? 1 : 0];
  $! = 0;
  return syscall($number, @words);
}

# Through when the kernel itself answers, whatever it says: a call that is refused to the environment gives EPERM.
sub reached {
  my ($name, @words) = @_;
  my $result = call($name, @words);
  return if $result < 0 && $! == EPERM;
  return $result < 0 ? "the kernel answered: $!" : 'it worked';
}

# Through when the call works.
sub works { return call(@_) >= 0 ? "$_[0] worked" : '' }

# Through when there is something to read at a path.
sub readable {
  my ($path) = @_;
  sysopen(my $file, $path, O_RDONLY | O_NONBLOCK) or return;
  my $size = sysread($file, my $text, 64);
  return $size ? "$path: " . join(' ', map { sprintf '%02x', ord } split //, substr $text, 0, 8) : '';
}

# Through when a path can be opened for writing. Nothing is written.
sub writable {
  my ($path) = @_;
  return sysopen(my $file, $path, O_WRONLY | O_NONBLOCK) ? "$path can be written" : '';
}

# Through when one of the files at paths below folders can be opened for writing.
sub writable_below {
  my @folders = @_;
  my $left = 3000;
  while (defined(my $folder = shift @folders)) {
    opendir(my $entries, $folder) or next;
    for my $name (sort readdir $entries) {
      next if $name =~ /^\.\.?$/;
      my $path = "$folder/$name";
      return if $left-- == 0;
      my $mode = (lstat $path)[2];
      push @folders, $path if S_ISDIR($mode);
      next unless S_ISREG($mode) && ($mode & 0222);
      my $text = writable($path);
      return $text if $text;
    }
  }
  return;
}

# All the power that can be had over new namespaces: as it is, or with a user namespace of one's own.
sub empower {
  my ($kinds) = @_;
  return 1 if call('unshare', $kinds) >= 0;
  my ($user, $group) = ($> + 0, $) + 0);
  call('unshare', $kinds | NEWUSER) >= 0 or die "no namespaces of one's own: $!";
  for (['setgroups', 'deny'], ['uid_map', "0 $user 1"], ['gid_map', "0 $group 1"]) {
    open(my $file, '>', "/proc/self/$_->[0]") or die "$_->[0]: $!";
    syswrite($file, $_->[1]) or die "$_->[0]: $!";
  }
  return 1;
}

sub mounted {
  my ($source, $target, $type, $flags, $options) = @_;
  return call('mount', $source, $target, $type, $flags // 0, $options // '') >= 0;
}

# A folder of this process's own.
sub folder {
  my $path = "/tmp/probe-$$-" . int rand 1e9;
  mkdir $path or die "$path: $!";
  return $path;
}

# A file of this process's own.
sub file {
  my $path = folder() . '/file';
  open(my $file, '>', $path) or die "$path: $!";
  return $path;
}

# Through when something that answers takes a connection.
sub connects {
  my ($family, $address, $kind) = @_;
  socket(my $socket, $family, $kind // SOCK_STREAM, 0) or return;
  my $answer = '';
  eval {
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm 3;
    connect($socket, $address) && sysread($socket, $answer, 64);
  };
  alarm 0;
  return $answer ? "answered: $answer" : '';
}

sub dials {
  my ($address, $port) = @_;
  return connects(PF_INET6, pack_sockaddr_in6($port, inet_pton(AF_INET6, $address))) if $address =~ /:/;
  return connects(PF_INET, pack_sockaddr_in($port, inet_aton($address)));
}

# A process whose arguments have a mark in them: its id.
sub process_with {
  my ($mark) = @_;
  for my $path (glob '/proc/[0-9]*') {
    open(my $file, '<', "$path/cmdline") or next;
    my $line = <$file> // '';
    return $path =~ s{.*/}{}r if index($line, $mark) >= 0;
  }
  return;
}

# The program of these bytes, run: how it ended.
sub run_bytes {
  my ($bytes) = @_;
  my $path = folder() . '/program';
  sysopen(my $file, $path, O_WRONLY | O_CREAT, 0700) or die "$path: $!";
  syswrite($file, $bytes);
  close $file;
  my $pid = fork;
  if ($pid == 0) { exec $path; POSIX::_exit(127) }
  waitpid $pid, 0;
  return $?;
}

# The errno of a call with three words as a 32-bit program makes it; -1 where the kernel takes no such calls.
sub call32 {
  my ($number, @words) = @_;
  return -1 if $machine ne 'x86_64';
  # mov eax, number; mov ebx, ecx, edx, words; int 0x80; neg eax; mov edi, eax; mov eax, 60 (exit); syscall
  my $code = pack('CL CL CL CL', 0xb8, $number, 0xbb, $words[0], 0xb9, $words[1], 0xba, $words[2])
    . "\xcd\x80\xf7\xd8\x89\xc7\xb8\x3c\x00\x00\x00\x0f\x05";
  my $start = 0x400000;
  my $header = "\x7fELF\x02\x01\x01" . "\0" x 9
    . pack('SSLQQQLSSSSSS', 2, 62, 1, $start + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    . pack('LLQQQQQQ', 1, 5, 0, $start, $start, 120 + length $code, 120 + length $code, 4096);
  my $status = run_bytes($header . $code);
  return $status & 0x7f ? -1 : $status >> 8;
}

# Runs probes, each in a process of its own, and says how each ended.
sub run_probes {
  $| = 1;
  for (@_) {
    my ($name, $attack) = @$_;
    pipe(my $reader, my $writer);
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
      close $reader;
      open(STDOUT, '>', '/dev/null');
      $! = 0;
      my $found = eval { $attack->() };
      my ($why, $error) = ("$!", $@);
      my $said = $error ? "broken\t$error" : $found =~ /^absent/ ? "absent\t$found" : $found ? "through\t$found" : "held\t$why";
      $said =~ s/[^\t\x20-\x7e]+/ /g;
      syswrite($writer, $said);
      POSIX::_exit(0);
    }
    close $writer;
    my $said = '';
    my $over = eval {
      local $SIG{ALRM} = sub { die };
      alarm 20;
      sysread($reader, $said, 4096);
      alarm 0;
      1;
    };
    alarm 0;
    kill 'KILL', $pid unless $over;
    waitpid $pid, 0;
    $said = 'broken' . "\t" . ($over ? "ended with status $?" : 'no end') if $said eq '';
    print "probe\t$name\t$said\n";
  }
}

# The address that packets to others go to.
sub gateway {
  open(my $routes, '<', '/proc/net/route') or return '127.0.0.1';
  for (<$routes>) {
    my (undef, $target, $gateway) = split;
    return inet_ntoa(pack 'L', hex $gateway) if $target eq '00000000';
  }
  return '127.0.0.1';
}

# A connection, whether anything is said on it or not.
sub connected {
  my ($address, $port) = @_;
  my $is6 = $address =~ /:/;
  socket(my $socket, $is6 ? PF_INET6 : PF_INET, SOCK_STREAM, 0) or return;
  my $place = $is6 ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address)) : pack_sockaddr_in($port, inet_aton($address));
  return eval {
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm 3;
    my $made = connect($socket, $place);
    alarm 0;
    $made && $socket;
  };
}

# The hardware address of the interface to others.
sub own_hardware {
  open(my $file, '<', '/sys/class/net/eth0/address') or die "eth0: $!";
  return pack 'H12', <$file> =~ s/://gr;
}

# Sends a frame as it is.
sub frame {
  my ($bytes) = @_;
  socket(my $socket, 17, SOCK_RAW, 0) or die "a raw socket: $!";
  my $index = do { open(my $file, '<', '/sys/class/net/eth0/ifindex') or die $!; 0 + <$file> };
  send($socket, $bytes, 0, pack('SnlSCC a8', 17, 0, $index, 0, 0, 6, '')) or die "sending: $!";
  return 'sent';
}

# Sends a datagram to the gateway that says to be from an address.
sub datagram_from {
  my ($source) = @_;
  socket(my $socket, PF_INET, SOCK_RAW, 255) or die "a raw socket: $!";
  my $target = inet_aton(gateway());
  my $datagram = pack('nnnn', 4000, 9, 8, 0);
  my $packet = pack('CCnnnCCn', 0x45, 0, 28, 1, 0, 64, 17, 0) . inet_aton($source) . $target . $datagram;
  send($socket, $packet, 0, pack_sockaddr_in(0, $target)) or die "sending: $!";
  return 'sent';
}
