/** Under which user the embedded server runs, and whether that user can reach the home. */
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { AtelierError } from '@atelier/api';

/** The user that the server runs as, by its numbers. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
  /** The user is another than our own: files have to be given to it. */
  readonly switched: boolean;
}

/** The system user that root's embedded server runs as. */
export const systemUserName = 'atelier-postgres';

const run = promisify(execFile);

/** Chooses the user: our own, or root's system user, which is made when it is missing. */
export async function serverUser(): Promise<ServerUser> {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return { uid, gid: process.getgid?.() ?? uid, switched: false };
  return (await findUser()) ?? makeUser();
}

async function findUser(): Promise<ServerUser | undefined> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n');
  const fields = lines.find((line) => line.startsWith(`${systemUserName}:`))?.split(':');
  if (!fields) return undefined;
  return { uid: Number(fields[2]), gid: Number(fields[3]), switched: true };
}

async function makeUser(): Promise<ServerUser> {
  const useradd = ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent'];
  try {
    await run('useradd', [...useradd, '--shell', '/usr/sbin/nologin', systemUserName]);
  } catch (error) {
    // Another daemon may have made it in the same moment: the look below decides.
    const user = await findUser();
    if (user) return user;
    throw new AtelierError(
      'failed_precondition',
      `the system user ${systemUserName}, which PostgreSQL runs as, could not be made; make it with "useradd --system ${systemUserName}"`,
      { cause: error },
    );
  }
  const user = await findUser();
  if (!user)
    throw new AtelierError('failed_precondition', `the system user ${systemUserName} is not in /etc/passwd`);
  return user;
}

/** Every folder above must let others pass, or be the user's own; `failed_precondition` names the one in the way. */
export async function requireReachable(folder: string, user: ServerUser): Promise<void> {
  if (!user.switched) return;
  for (let above = dirname(folder); ; above = dirname(above)) {
    const facts = await stat(above).catch(() => undefined);
    if (facts && (facts.mode & 0o001) === 0 && facts.uid !== user.uid) {
      throw new AtelierError(
        'failed_precondition',
        `${folder} cannot be used: ${above} lets no other user pass, and PostgreSQL does not run as root; choose another ATELIER_HOME, such as /var/lib/atelier`,
      );
    }
    if (above === dirname(above)) return;
  }
}
