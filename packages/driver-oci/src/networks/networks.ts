/** The network driver: a routed pair, a pair of addresses, a table of rules and a forwarder for names. */
import { writeFileSync } from 'node:fs';
import { requireId, type Clock } from '@atelier/api';
import type { Network, NetworkDriver, NetworkPolicy } from '@atelier/driver';
import { claimFirst, releaseClaim } from '../claims/claims.ts';
import { readText } from '../host/files.ts';
import type { Inheritance } from '../host/inheritance.ts';
import { ensureNamespaces } from '../host/namespaces.ts';
import { run } from '../host/run.ts';
import { allDone, type Serial } from '../host/serial.ts';
import { shortName, type OciHome } from '../home.ts';
import { gatewayCandidates, pairOf, parseRange, routedRanges, type HostRoute } from './address-pool.ts';
import {
  allAttachments,
  attachedIds,
  forgetAttachment,
  isOurLink,
  linkExists,
  linkName,
  readAttachment,
  writeAttachment,
  type Attachment,
} from './attachments.ts';
import { makeFirewall, type Firewall } from './firewall.ts';
import { makeForwarders, type Forwarders } from './forwarders.ts';
import { makeLink, openLink, removeLink } from './links.ts';
import { hostResolvers } from './resolver.ts';

/** What the networks of a home need. */
export interface NetworkSetting {
  readonly home: OciHome;
  readonly clock: Clock;
  readonly inheritance: Inheritance;
  /** Shared with the disks and instances: one change of an environment at a time. */
  readonly serial: Serial;
  /** Gives up the namespaces of an environment when nothing uses them any more. */
  readonly releaseNamespaces: (environmentId: string) => void;
}

/** The networks of a home, with what lives in this process only. */
export interface Networks extends NetworkDriver {
  /** Answers questions for names on every attachment that is there: after a restart of this process. */
  resume(): Promise<void>;
  /** Ends the forwarders; attachments stay. */
  close(): Promise<void>;
}

const forwardingSwitch = '/proc/sys/net/ipv4/ip_forward';

/** What the steps below work with. */
interface Parts {
  readonly setting: NetworkSetting;
  readonly firewall: Firewall;
  readonly forwarders: Forwarders;
}

/** Makes the network driver of a home. */
export function makeNetworks(setting: NetworkSetting): Networks {
  const { home, serial } = setting;
  const firewall = makeFirewall(home, setting.inheritance.proxies);
  const forwarders = makeForwarders(setting.clock);
  const parts = { setting, firewall, forwarders };
  return {
    list: async () => allAttachments(home).map(shown),
    ensure: async (environmentId, policy) =>
      serial(requireId(environmentId, 'environment id'), async () => {
        const had = readAttachment(home, environmentId);
        return shown(
          had === undefined ? await attach(parts, environmentId, policy) : await change(parts, had, policy),
        );
      }),
    remove: async (environmentId) => serial(environmentId, () => detach(parts, environmentId)),
    async resume() {
      const attachments = allAttachments(home);
      if (attachments.length === 0) return;
      await firewall.write();
      await Promise.all(attachments.map((each) => forwarders.start(each)));
    },
    close: () => forwarders.close(),
  };
}

/** Makes an attachment; what fails leaves nothing. */
async function attach(parts: Parts, environmentId: string, policy: NetworkPolicy): Promise<Attachment> {
  const { setting, firewall, forwarders } = parts;
  const { home } = setting;
  try {
    enableForwarding();
    const namespaces = ensureNamespaces(home, environmentId);
    const found = foreignRoutes();
    await allDone([namespaces, found]);
    const [{ networkFile }, routes] = [await namespaces, await found];
    const link = claimFirst(home, 'link', environmentId, [linkName(home, environmentId)]);
    const pair = pairOf(claimGateway(home, environmentId, routes));
    const attachment = { environmentId, link, ...pair, policy };
    return await firewall.whileMaking(attachment, async () => {
      await allDone([firewall.write(), makeLink(link, pair, networkFile, uplinkMtu(routes))]);
      // The rules are there by now: no packet ever passes without them.
      await allDone([openLink(pair, networkFile), forwarders.start(attachment)]);
      writeAttachment(home, attachment);
      return attachment;
    });
  } catch (error) {
    await detach(parts, environmentId);
    throw error;
  }
}

/** Changes the policy of an attachment that is there. */
async function change(
  { setting, firewall, forwarders }: Parts,
  had: Attachment,
  policy: NetworkPolicy,
): Promise<Attachment> {
  await forwarders.start(had);
  if (samePolicy(had.policy, policy)) return had;
  const changed = { ...had, policy };
  writeAttachment(setting.home, changed);
  await firewall.write();
  return changed;
}

/** Takes everything of an attachment away, whatever of it is there. */
async function detach({ setting, firewall, forwarders }: Parts, environmentId: string): Promise<void> {
  const { home } = setting;
  const link = linkName(home, environmentId);
  const wasThere = linkExists(link) || attachedIds(home).includes(environmentId);
  await forwarders.stop(environmentId);
  await removeLink(link);
  forgetAttachment(home, environmentId);
  if (wasThere) await firewall.write();
  releaseClaim(home, 'link', environmentId);
  releaseClaim(home, 'address', environmentId);
  setting.releaseNamespaces(environmentId);
}

/** Whether the kernel passes packets between interfaces. */
export function forwardingEnabled(): boolean {
  return readText(forwardingSwitch)?.trim() === '1';
}

function enableForwarding(): void {
  if (!forwardingEnabled()) writeFileSync(forwardingSwitch, '1');
}

function claimGateway(home: OciHome, environmentId: string, routes: readonly HostRoute[]): string {
  const resolvers = hostResolvers().flatMap((address) => parseRange(address) ?? []);
  const taken = [...routedRanges(routes), ...resolvers];
  const candidates = gatewayCandidates(taken, shortName(home, 6, 'address'));
  return claimFirst(home, 'address', environmentId, candidates);
}

/** The routes of the host that are not those of attachments. */
async function foreignRoutes(): Promise<HostRoute[]> {
  const output = await run('ip', ['-json', '-4', 'route', 'show', 'table', 'all']);
  const routes = JSON.parse(output.trim() || '[]') as HostRoute[];
  return routes.filter((route) => !isOurLink(route.dev ?? ''));
}

function uplinkMtu(routes: readonly HostRoute[]): number | undefined {
  const device = routes.find((route) => route.dst === 'default')?.dev;
  const text = device === undefined ? undefined : readText(`/sys/class/net/${device}/mtu`);
  return text === undefined ? undefined : Number(text);
}

function shown({ environmentId, address, policy }: Attachment): Network {
  return { environmentId, address, policy };
}

function samePolicy(one: NetworkPolicy, other: NetworkPolicy): boolean {
  return one.egress === other.egress && one.privateRanges === other.privateRanges;
}
