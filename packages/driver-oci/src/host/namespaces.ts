/**
 * The user and network namespace that all instances of an environment share. They are made once, by a process
 * that is gone a moment later, and kept by binding them to two files; the network namespace belongs to the user
 * namespace, so that root inside may send pings and listen on low ports.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { AtelierError } from '@atelier/api';
import type { StartedProcess } from '@atelier/posix';
import { findClaim, releaseClaim } from '../claims/claims.ts';
import { claimIdRange, idRangeSize } from '../claims/id-range.ts';
import { shortName, type OciHome } from '../home.ts';
import { mountsBelow } from './mount-table.ts';
import { startProgram } from './spawn.ts';
import { mount, mountFlags, unmount } from './syscalls.ts';

/** The namespaces of one environment. */
export interface Namespaces {
  /** The id on the host that is root inside. */
  readonly base: number;
  /** Files that are the namespaces. */
  readonly userFile: string;
  readonly networkFile: string;
}

/** The folder of an environment's namespaces; its mounts are the namespaces. */
export function namespaceFolder(home: OciHome, environmentId: string): string {
  return join(home.runFolder, 'namespaces', shortName(home, 12, environmentId));
}

/** Where an environment's namespaces are, undefined unless both are there. */
export function findNamespaces(home: OciHome, environmentId: string): Namespaces | undefined {
  const folder = namespaceFolder(home, environmentId);
  const claimed = findClaim(home, 'ids', environmentId);
  if (claimed === undefined) return undefined;
  const mounted = mountsBelow(folder);
  const found = namespacesIn(folder, Number(claimed));
  return mounted.includes(found.userFile) && mounted.includes(found.networkFile) ? found : undefined;
}

/** Makes an environment's namespaces, or finds them. Cost: some milliseconds, once. */
export async function ensureNamespaces(home: OciHome, environmentId: string): Promise<Namespaces> {
  const found = findNamespaces(home, environmentId);
  if (found !== undefined) return found;
  const made = namespacesIn(namespaceFolder(home, environmentId), claimIdRange(home, environmentId));
  for (const point of mountsBelow(dirname(made.userFile))) unmount(point);
  mkdirSync(dirname(made.userFile), { recursive: true, mode: 0o700 });
  for (const file of [made.userFile, made.networkFile]) writeFileSync(file, '');
  await withHolder(['--user', '--net'], (pid) => {
    const map = `0 ${made.base} ${idRangeSize}\n`;
    writeFileSync(`/proc/${pid}/uid_map`, map);
    writeFileSync(`/proc/${pid}/gid_map`, map);
    mount(`/proc/${pid}/ns/user`, made.userFile, '', mountFlags.bind, '');
    mount(`/proc/${pid}/ns/net`, made.networkFile, '', mountFlags.bind, '');
  });
  return made;
}

/** Takes an environment's namespaces and its range of ids away. Nothing may run in them any more. */
export function removeNamespaces(home: OciHome, environmentId: string): void {
  const folder = namespaceFolder(home, environmentId);
  for (const point of mountsBelow(folder)) unmount(point);
  rmSync(folder, { recursive: true, force: true });
  releaseClaim(home, 'ids', environmentId);
}

/** Calls `work` with a process that lives in new namespaces and ends afterwards. */
async function withHolder(namespaces: readonly string[], work: (pid: number) => void): Promise<void> {
  const holder = startProgram('unshare', [...namespaces, 'cat']);
  holder.errorOutput?.resume();
  try {
    await answering(holder);
    work(holder.pid);
  } finally {
    holder.kill();
    await holder.ended;
    holder.input.destroy();
  }
}

/** `cat` runs, and answers, only when the namespaces around it are made. */
async function answering({ input, output, ended }: StartedProcess): Promise<void> {
  const answered = output && once(output, 'data').then(() => true);
  input.on('error', () => {});
  input.write('\n');
  const ready = await Promise.race([answered, ended.then(() => false)]);
  if (ready === true) return;
  const message = 'the kernel refuses user namespaces: allow them (user.max_user_namespaces), see doctor';
  throw new AtelierError('failed_precondition', message);
}

function namespacesIn(folder: string, base: number): Namespaces {
  return { base, userFile: join(folder, 'user'), networkFile: join(folder, 'network') };
}
