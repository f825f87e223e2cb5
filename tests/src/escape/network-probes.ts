/** What can be reached over the network, with an address of one's own and with those of others. */
import type { Probe } from './probe.ts';

const open = { control: 'open-network' } as const;
const bare = { control: 'bare' } as const;

const ofHost = 'services of the host that listen for others than environments';
const ofSite = 'the network that the host is in';

function reach(name: string, protects: string, attack: string): Probe {
  return { ...open, name, protects, attack };
}

const onTheWay: readonly Probe[] = [
  reach('a port of the host at the gateway', ofHost, 'dials(gateway(), $fact{host_port})'),
  reach(
    'a port of the host at its address to others',
    ofHost,
    'dials($fact{host_address}, $fact{host_port})',
  ),
  reach(
    'a datagram port of the host',
    ofHost,
    String.raw`
      socket(my $socket, PF_INET, SOCK_DGRAM, 0);
      send($socket, 'question', 0, pack_sockaddr_in($fact{host_port}, inet_aton(gateway()))) or return;
      my ($ready, $answer) = ('', '');
      vec($ready, fileno $socket, 1) = 1;
      select($ready, undef, undef, 0.5) && defined recv($socket, $answer, 64, 0) ? $answer : ''`,
  ),
  reach('another environment', 'what others run', 'dials($fact{other_address}, $fact{other_port})'),
  reach(
    'the metadata of the machine',
    'credentials of the machine, which clouds give to whoever asks at that address',
    `dials('169.254.169.254', $fact{remote_port})`,
  ),
  ...['169.254.77.77', '10.254.77.77', '172.16.77.77', '192.168.77.77', '100.64.77.77'].map((address) =>
    reach(`the private address ${address}`, ofSite, `dials('${address}', $fact{remote_port})`),
  ),
];

const loopback: readonly Probe[] = [
  ...['127.0.0.1', '::1'].map((address): Probe => ({
    ...bare,
    name: `a port of the host at ${address}`,
    protects: 'services that trust whoever is on the same machine',
    attack: `dials('${address}', $fact{host_port})`,
  })),
  ...['plane', 'gateway'].map((half): Probe => ({
    ...bare,
    name: `the port of the daemon's ${half}`,
    protects: 'the daemon: nothing inside needs it',
    attack: String.raw`
      for my $address ('127.0.0.1', '::1', $fact{host_address}, gateway()) {
        my $socket = connected($address, $fact{port_${half}}) or next;
        return "$address takes connections";
      }
      ''`,
  })),
];

/** The probes. */
export const networkProbes: readonly Probe[] = [...onTheWay, ...loopback];

/** A packet that claims to be from somebody else. `attack` sends it; `rule` tells it, for nftables. */
export interface Forgery {
  readonly name: string;
  readonly attack: string;
  readonly rule: string;
}

const ipv6Frame = (source: string): string => String.raw`
  my $body = "\x3a\x00\x05\x02\0\0\0\0" . "\x80\0\0\0\0\0\0\0";
  my $packet = pack('NnCC', 6 << 28, 8, 58, 255) . inet_pton(AF_INET6, '${source}')
    . inet_pton(AF_INET6, 'ff02::1') . "\x80\0\0\0\0\0\0\0";
  frame("\x33\x33\0\0\0\1" . own_hardware() . "\x86\xdd" . $packet)`;

/** The forgeries: each has to arrive at the host and to be dropped there. */
export const forgeries: readonly Forgery[] = [
  {
    name: 'IPv4 packets from an address that is nobody’s',
    attack: `datagram_from('198.18.250.7')`,
    rule: 'ip saddr 198.18.250.7',
  },
  {
    name: 'IPv4 packets from the address of another environment',
    attack: 'datagram_from($fact{other_address})',
    rule: 'ip saddr $other_address',
  },
  {
    name: 'IPv6 packets from a link-local address',
    attack: ipv6Frame('fe80::77'),
    rule: 'ip6 saddr fe80::77',
  },
  {
    name: 'IPv6 packets from a public address',
    attack: ipv6Frame('2001:db8::77'),
    rule: 'ip6 saddr 2001:db8::77',
  },
];

/** Claims the address of another environment in every way that ARP has, as a program of its own. */
export const claimByArp = String.raw`
  my ($mine, $address) = (own_hardware(), inet_aton($fact{other_address}));
  my $gateway = inet_aton(gateway());
  my $everybody = "\xff" x 6;
  for (1 .. 3) {
    for ([1, $gateway], [2, $gateway], [1, $address], [2, $address]) {
      my ($operation, $asked) = @$_;
      frame($everybody . $mine . pack('n n n C C n', 0x0806, 1, 0x0800, 6, 4, $operation)
        . $mine . $address . ($operation == 1 ? "\0" x 6 : $everybody) . $asked);
    }
  }
  'sent'`;
