/** The network driver: a routed pair, a pair of addresses, a table of rules and a forwarder for names. */
import { writeFileSync } from 'node:fs';
import { requireId, type Clock } from '@atelier/api';
import type { Network, NetworkDriver, NetworkPolicy } from '@atelier/driver';
import { claimFirst, releaseClaim } from '../claims/claims.ts';
import { readText } from '../host/files.ts';
import type { Inheritance } from '../host/inheritance.ts';
import { ensureNamespaces } from '../host/namespaces.ts';
import { run } from '../host/run.ts';
import { allDone, makeSerial, type Serial } from '../host/serial.ts';
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
import { makeLink, openLink, removeLink } from './links.ts';
import { hostResolvers, startForwarder, type Forwarder } from './resolver.ts';
import { ruleset } from './ruleset.ts';

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
/** The table is one thing, whatever environment a change is for. */
const tableKey = 'table';
const namePort = 53;

/** Makes the network driver of a home. */
export function makeNetworks(setting: NetworkSetting): Networks {
  const { home, serial } = setting;
  const forwarders = new Map<string, Forwarder>();
  /** Attachments that are being made: their rules must survive the making of others. */
  const pending = new Map<string, Attachment>();
  const ofTable = makeSerial();

  const writeRules = (): Promise<string> =>
    ofTable(tableKey, () => {
      const made = allAttachments(home).filter((each) => !pending.has(each.environmentId));
      const rules = ruleset(home.short, [...made, ...pending.values()], setting.inheritance.proxies);
      return run('nft', ['-f', '-'], { input: rules });
    });

  const forward = async (attachment: Attachment): Promise<void> => {
    if (forwarders.has(attachment.environmentId)) return;
    const forwarder = await startForwarder({
      address: attachment.gateway,
      port: namePort,
      clock: setting.clock,
      resolvers: hostResolvers,
      resolverPort: namePort,
    });
    forwarders.set(attachment.environmentId, forwarder);
  };

  const remove = async (environmentId: string): Promise<void> => {
    const link = linkName(home, environmentId);
    await forwarders.get(environmentId)?.close();
    forwarders.delete(environmentId);
    const wasThere = linkExists(link) || attachedIds(home).includes(environmentId);
    await removeLink(link);
    forgetAttachment(home, environmentId);
    if (wasThere) await writeRules();
    releaseClaim(home, 'link', environmentId);
    releaseClaim(home, 'address', environmentId);
    setting.releaseNamespaces(environmentId);
  };

  const make = async (environmentId: string, policy: NetworkPolicy): Promise<Attachment> => {
    enableForwarding();
    const namespaces = ensureNamespaces(home, environmentId);
    const found = foreignRoutes();
    await allDone([namespaces, found]);
    const [{ networkFile }, routes] = [await namespaces, await found];
    const link = claimLink(home, environmentId);
    const pair = pairOf(claimGateway(home, environmentId, routes));
    const attachment = { environmentId, link, ...pair, policy };
    pending.set(environmentId, attachment);
    try {
      await allDone([writeRules(), makeLink(link, pair, networkFile, uplinkMtu(routes))]);
      // The rules are there by now: no packet ever passes without them.
      await allDone([openLink(pair, networkFile), forward(attachment)]);
      writeAttachment(home, attachment);
    } finally {
      pending.delete(environmentId);
    }
    return attachment;
  };

  return {
    list: async () => allAttachments(home).map(shown),
    ensure: async (environmentId, policy) =>
      serial(requireId(environmentId, 'environment id'), async () => {
        const had = readAttachment(home, environmentId);
        try {
          if (had === undefined) return shown(await make(environmentId, policy));
          await forward(had);
          if (samePolicy(had.policy, policy)) return shown(had);
          const changed = { ...had, policy };
          writeAttachment(home, changed);
          await writeRules();
          return shown(changed);
        } catch (error) {
          if (had === undefined) await remove(environmentId);
          throw error;
        }
      }),
    remove: (environmentId) => serial(environmentId, () => remove(environmentId)),
    async resume() {
      const attachments = allAttachments(home);
      if (attachments.length === 0) return;
      await writeRules();
      await Promise.all(attachments.map(forward));
    },
    async close() {
      await Promise.all([...forwarders.values()].map((forwarder) => forwarder.close()));
      forwarders.clear();
    },
  };
}

/** Whether the kernel passes packets between interfaces. */
export function forwardingEnabled(): boolean {
  return readText(forwardingSwitch)?.trim() === '1';
}

function enableForwarding(): void {
  if (!forwardingEnabled()) writeFileSync(forwardingSwitch, '1');
}

function claimLink(home: OciHome, environmentId: string): string {
  const link = linkName(home, environmentId);
  return claimFirst(home, 'link', environmentId, [link]);
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
