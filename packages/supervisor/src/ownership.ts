/** Gives the workspace to its user. It runs as root on files of the inside, so it follows no link and leaves the disk. */
import { lstat, lchown, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, systemCodeOf } from './machine.ts';
import type { User } from './users.ts';

/**
 * Makes `user` the owner of a folder and all below it on the same file system. Answers an empty text, or the
 * first thing that could not be done; the rest is done. Entries that vanish meanwhile are none of our business.
 */
export async function giveOwnership(folder: string, user: Pick<User, 'userId' | 'groupId'>): Promise<string> {
  const walk = { user, failure: '' };
  const device = await attempt(walk, folder, async () => (await lstat(folder)).dev);
  if (device !== undefined) await give(walk, folder, device);
  return walk.failure;
}

interface Walk {
  readonly user: Pick<User, 'userId' | 'groupId'>;
  failure: string;
}

async function give(walk: Walk, path: string, device: number): Promise<void> {
  const { userId, groupId } = walk.user;
  const status = await attempt(walk, path, () => lstat(path));
  if (!status || status.dev !== device) return;
  if (status.uid !== userId || status.gid !== groupId)
    await attempt(walk, path, () => lchown(path, userId, groupId));
  if (!status.isDirectory()) return;
  const folder = await attempt(walk, path, () => opendir(path));
  if (!folder) return;
  for await (const entry of folder) await give(walk, join(path, entry.name), device);
}

async function attempt<Result>(
  walk: Walk,
  path: string,
  act: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await act();
  } catch (thrown) {
    if (systemCodeOf(thrown) !== 'ENOENT')
      walk.failure ||= `Cannot give ${path} to user ${walk.user.userId}: ${messageOf(thrown)}`;
    return undefined;
  }
}
