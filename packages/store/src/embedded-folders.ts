/** Where the embedded server lives on the disk, and what is wrong with a place where it cannot. */
import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { requireReachable, type ServerUser } from './embedded-user.ts';

/** The parts of an embedded server's folder. */
export interface ServerFolders {
  readonly data: string;
  readonly socket: string;
  /** The socket's folder lies elsewhere, because its path would be too long here. */
  readonly socketIsApart: boolean;
  readonly log: string;
}

/** A socket's path may have 107 bytes; its name in the folder takes 14. */
const socketFolderBytesMax = 90;
/** PostgreSQL takes its socket folders as a list with quotes and commas. */
const plainPath = /^[\w/.+@-]+$/;

/** Makes the folder and the socket's folder, which nobody but the server's user and root may enter. */
export async function prepareFolders(folder: string, user: ServerUser): Promise<ServerFolders> {
  await mkdir(folder, { recursive: true });
  // Whatever the umask of the daemon is: the server's user has to pass.
  await chmod(folder, 0o755);
  await requireReachable(folder, user);
  const near = join(folder, 'run');
  const socketIsApart = Buffer.byteLength(near) > socketFolderBytesMax || !plainPath.test(near);
  const socket = socketIsApart ? await folderApart(folder, user) : near;
  await mkdir(socket, { recursive: true, mode: 0o700 });
  await requireOwnFolder(socket, user);
  await chmod(socket, 0o700);
  if (user.switched) await chown(socket, user.uid, user.gid);
  return { data: join(folder, 'data'), socket, socketIsApart, log: join(folder, 'postgres.log') };
}

/** A short path: below /run for root, where nobody else can plant anything, in the temporary folder for a user. */
async function folderApart(folder: string, user: ServerUser): Promise<string> {
  const short = createHash('sha256').update(folder).digest('hex').slice(0, 12);
  if (!user.switched) return join(tmpdir(), `atelier-postgres-${short}`);
  const socket = join('/run/atelier', `postgres-${short}`);
  await mkdir('/run/atelier', { recursive: true, mode: 0o711 });
  await requireReachable(socket, user);
  return socket;
}

/** The temporary folder is everybody's: what lies there may be a link, or somebody else's. */
async function requireOwnFolder(socket: string, user: ServerUser): Promise<void> {
  const facts = await lstat(socket);
  const own = facts.uid === user.uid || facts.uid === process.getuid?.();
  if (facts.isDirectory() && own) return;
  throw new AtelierError(
    'failed_precondition',
    `${socket} cannot hold PostgreSQL's socket: it is not a folder of ours; remove it or choose a shorter ATELIER_HOME`,
  );
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'may not be written by this user',
  EPERM: 'may not be written by this user',
  EROFS: 'is on a file system that is read only',
  ENOTDIR: 'is below something that is no folder',
  EEXIST: 'is a file, not a folder',
  ENAMETOOLONG: 'has a name that is too long',
  ELOOP: 'goes through links in a circle',
};

/** Says what a failed file operation means for the folder; an error that is ours is left as it is. */
export function folderError(folder: string, error: unknown): AtelierError {
  if (error instanceof AtelierError) return error;
  const { code = '', path = folder, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AtelierError(
      'resource_exhausted',
      `there is no room left for PostgreSQL's files in ${folder}; make room or choose another ATELIER_HOME`,
      { cause: error },
    );
  }
  const reason = reasons[code] ?? `cannot be used: ${message}`;
  return new AtelierError(
    'failed_precondition',
    `${folder} cannot hold PostgreSQL's files: ${path} ${reason}; choose another ATELIER_HOME`,
    { cause: error },
  );
}
