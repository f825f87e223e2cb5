/**
 * The firewall of a home as one nftables table, written anew as a whole for each change. Pure: the same
 * attachments give the same text, so a restart, a lost answer and a removal need no rules of their own.
 */
import type { Attachment } from './attachments.ts';

/** Addresses that no environment reaches through any host, whatever its policy. */
const neverReached = '0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4, 240.0.0.0/4';
/** RFC 1918, and the range of carriers (RFC 6598), which cloud machines use among themselves. */
const privateRanges = '10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16';

/** A proxy of the host that environments may use. */
export interface ProxyAddress {
  readonly address: string;
  readonly port: number;
}

/** The name of a home's table. */
export function tableName(short: string): string {
  return `atelier_${short}`;
}

/** Input for `nft -f`: replaces the table of a home in one transaction; without attachments it is taken away. */
export function ruleset(
  short: string,
  attachments: readonly Attachment[],
  proxies: readonly ProxyAddress[],
): string {
  const table = `table inet ${tableName(short)}`;
  // Adding it first makes the deletion succeed whether it was there or not.
  const anew = `add ${table}\ndelete ${table}\n`;
  return attachments.length === 0 ? anew : `${anew}${table} {\n${sets(attachments, proxies)}${chains}}\n`;
}

function sets(attachments: readonly Attachment[], proxies: readonly ProxyAddress[]): string {
  const links = (chosen: readonly Attachment[]): string[] => chosen.map(({ link }) => `"${link}"`);
  const online = attachments.filter(({ policy }) => policy.egress === 'internet');
  const inside = attachments.filter(({ policy }) => policy.privateRanges);
  return [
    set('links', 'ifname', links(attachments)),
    set('internet', 'ifname', links(online)),
    set('inside', 'ifname', links(inside)),
    set(
      'addresses',
      'ipv4_addr',
      attachments.map(({ address }) => address),
    ),
    set(
      'sources',
      'ifname . ipv4_addr',
      attachments.map(({ link, address }) => `"${link}" . ${address}`),
    ),
    set(
      'gateways',
      'ifname . ipv4_addr',
      attachments.map(({ link, gateway }) => `"${link}" . ${gateway}`),
    ),
    set(
      'proxies',
      'ipv4_addr . inet_service',
      proxies.map(({ address, port }) => `${address} . ${port}`),
    ),
  ].join('');
}

function set(name: string, type: string, elements: readonly string[]): string {
  const filled = elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`;
  return `  set ${name} { type ${type};${filled} }\n`;
}

/**
 * `source` drops what does not come from the attachment's own address before anything looks at it; `outward`
 * is what environments send, `inward` what comes to them, `local` what they send to this host.
 * A refusal is told, and for TCP by a reset: a sender on the same machine takes the first ICMP message for a
 * passing trouble and tries again after a second.
 */
const chains = `
  chain source {
    type filter hook prerouting priority raw; policy accept;
    iifname @links iifname . ip saddr != @sources drop
    iifname @links meta nfproto ipv6 drop
  }
  chain refused {
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain local {
    type filter hook input priority filter; policy accept;
    iifname != @links accept
    ct state established,related accept
    iifname . ip daddr @gateways udp dport 53 accept
    iifname . ip daddr @gateways tcp dport 53 accept
    goto refused
  }
  chain passing {
    type filter hook forward priority filter; policy accept;
    iifname @links goto outward
    oifname @links goto inward
  }
  chain outward {
    ct state established,related accept
    oifname @links goto refused
    ip daddr { ${neverReached} } goto refused
    iifname @internet ip daddr . tcp dport @proxies accept
    iifname @inside ip daddr { ${privateRanges} } accept
    ip daddr { ${privateRanges} } goto refused
    iifname @internet accept
    goto refused
  }
  chain inward {
    ct state established,related accept
    drop
  }
  chain hidden {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr @addresses oifname != @links masquerade
  }
`;
