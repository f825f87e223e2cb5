/** What is written down about an attachment. It counts only while its interface is there. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AtelierError, isId, requireId } from '@atelier/api';
import type { NetworkPolicy } from '@atelier/driver';
import { namesIn, readJson, writeJson } from '../host/files.ts';
import { shortName, type OciHome } from '../home.ts';
import type { AddressPair } from './address-pool.ts';

/** One attachment: what an environment has of the network. */
export interface Attachment extends AddressPair {
  readonly environmentId: string;
  /** Interface on the host. */
  readonly link: string;
  readonly policy: NetworkPolicy;
}

const linkPattern = /^at[0-9a-f]{13}$/;

/** The interface name of an environment: 15 characters, which is all that the kernel takes. */
export function linkName(home: OciHome, environmentId: string): string {
  return `at${shortName(home, 13, 'link', environmentId)}`;
}

/** Gives the name back when it is one of ours; nothing else may ever be given to a command that changes a link. */
export function requireOurLink(link: string): string {
  if (isOurLink(link)) return link;
  throw new AtelierError('internal', `${link} is no interface of Atelier and must not be touched`);
}

/** Whether an interface name has the form of ours. */
export function isOurLink(link: string): boolean {
  return linkPattern.test(link);
}

/** Whether the host has an interface of this name. */
export function linkExists(link: string): boolean {
  return existsSync(`/sys/class/net/${link}`);
}

/** The attachment of an environment, undefined when there is none. */
export function readAttachment(home: OciHome, environmentId: string): Attachment | undefined {
  const found = readJson<Attachment>(pathOf(home, environmentId));
  return found !== undefined && linkExists(found.link) ? found : undefined;
}

/** All attachments of a home. */
export function allAttachments(home: OciHome): Attachment[] {
  return attachedIds(home).flatMap((id) => readAttachment(home, id) ?? []);
}

/** Ids that have a record, whether their interface is still there or not. */
export function attachedIds(home: OciHome): string[] {
  return namesIn(join(home.runFolder, 'networks')).filter(isId);
}

/** Writes an attachment down; it is there from now on. */
export function writeAttachment(home: OciHome, attachment: Attachment): void {
  writeJson(pathOf(home, attachment.environmentId), attachment);
}

/** Forgets an attachment. */
export function forgetAttachment(home: OciHome, environmentId: string): void {
  rmSync(pathOf(home, environmentId), { force: true });
}

function pathOf(home: OciHome, environmentId: string): string {
  return join(home.runFolder, 'networks', requireId(environmentId, 'environment id'));
}
