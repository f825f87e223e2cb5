/** Interfaces of attachments: a routed pair, one end on the host, the other in the environment's namespace. */
import { AtelierError } from '@atelier/api';
import { run, tryRun } from '../host/run.ts';
import type { AddressPair } from './address-pool.ts';
import { linkExists, requireOurLink } from './attachments.ts';

/** What an environment sees its end as. */
const insideLink = 'eth0';

/**
 * Makes the pair with its host's end up and the other end down, so that nothing passes yet. IPv6 is off on the
 * host's end from the start. `mtu` is the size of a packet on the way out of the host: larger ones would only be
 * turned back.
 */
export async function makeLink(
  link: string,
  pair: AddressPair,
  networkFile: string,
  mtu: number | undefined,
): Promise<void> {
  await removeLink(link);
  const size = mtu === undefined ? '' : ` mtu ${mtu}`;
  const commands = [
    `link add name ${requireOurLink(link)}${size} type veth peer name ${insideLink}${size} netns ${networkFile}`,
    `link set dev ${link} addrgenmode none`,
    `address add ${pair.gateway}/31 dev ${link}`,
    `link set dev ${link} up`,
    '',
  ];
  await run('ip', ['-batch', '-'], { input: commands.join('\n') });
}

/**
 * Brings the environment's end up: from now on packets pass. IPv6 is off on it, since nothing here could say
 * yet what of it may be reached; the loopback keeps it.
 */
export async function openLink(pair: AddressPair, networkFile: string): Promise<void> {
  const commands = [
    'link set dev lo up',
    `address add ${pair.address}/31 dev ${insideLink}`,
    `link set dev ${insideLink} up`,
    `route add default via ${pair.gateway} dev ${insideLink}`,
    '',
  ];
  const script = [
    // A kernel without IPv6 has no such file, and nothing to switch off.
    `[ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/${insideLink}/disable_ipv6 || exit 1`,
    // Every group may send pings, so that the image's ping needs no capability.
    'echo "0 65535" >/proc/sys/net/ipv4/ping_group_range || exit 1',
    'exec ip -batch -',
  ].join('\n');
  await run('nsenter', [`--net=${networkFile}`, 'sh', '-c', script], { input: commands.join('\n') });
}

/** Takes the pair away; one that is not there is success. */
export async function removeLink(link: string): Promise<void> {
  if (!linkExists(requireOurLink(link))) return;
  const { exitCode, errorOutput } = await tryRun('ip', ['link', 'delete', 'dev', link]);
  if (exitCode === 0 || !linkExists(link)) return;
  throw new AtelierError('internal', `the interface ${link} cannot be deleted: ${errorOutput.trim()}`);
}
