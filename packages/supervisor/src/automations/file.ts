/** Reads the automations file of the workspace: the first of its places that exists. */
import { constants } from 'node:fs';
import { lstat, open, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { AtelierError } from '@atelier/api';
import { AutomationsFileStatusSchema, type AutomationsFileStatus } from '@atelier/api/atelier/supervisor';
import { candidateAutomationsPaths, parseAutomationsFile } from '@atelier/automations';
import { create } from '@bufbuild/protobuf';
import { messageOf, systemCodeOf } from '../machine.ts';

const fileBytesMax = 1024 * 1024;

/** Reads and checks the file; `specifiedPath` is the only place when it is not empty. Never rejects. */
export async function readAutomationsFile(
  workspaceFolder: string,
  specifiedPath: string,
  session: string,
): Promise<AutomationsFileStatus> {
  const status = create(AutomationsFileStatusSchema, { session });
  for (const path of candidateAutomationsPaths(specifiedPath)) {
    try {
      const text = await readText(workspaceFolder, path);
      if (text === undefined) continue;
      status.path = path;
      const { file, warnings } = parseAutomationsFile(text, path);
      return { ...status, file, warnings };
    } catch (thrown) {
      return { ...status, path, failureMessage: messageOf(thrown) };
    }
  }
  if (specifiedPath !== '')
    status.failureMessage = `${specifiedPath}: there is no such file in the workspace.`;
  return status;
}

// Whoever works inside may have put a pipe, a device, an endless file or a link to another's file there.
async function readText(workspaceFolder: string, path: string): Promise<string | undefined> {
  const place = join(workspaceFolder, path);
  const file = await open(place, constants.O_RDONLY | constants.O_NONBLOCK).catch(async (thrown: unknown) => {
    const isLink = await lstat(place).then(
      (found) => found.isSymbolicLink(),
      () => false,
    );
    if (!isLink && ['ENOENT', 'ENOTDIR'].includes(systemCodeOf(thrown))) return undefined;
    if (isLink) throw unusable(path, 'it is a link that leads to no file. Put a file there, or nothing');
    throw thrown;
  });
  if (!file) return undefined;
  try {
    if (!(await file.stat()).isFile()) throw unusable(path, 'it is no file. Put a file there, or nothing');
    // Of what was opened, so that nobody can change it in between.
    const [real, root] = await Promise.all([readlink(`/proc/self/fd/${file.fd}`), realpath(workspaceFolder)]);
    if (!real.startsWith(`${root}/`)) throw unusable(path, 'it is a link out of the repository');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(fileBytesMax + 1), 0, fileBytesMax + 1, 0);
    if (bytesRead > fileBytesMax) throw unusable(path, 'it is far too large. Make it shorter');
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function unusable(path: string, why: string): AtelierError {
  return new AtelierError('invalid_argument', `${path} cannot be used: ${why}.`);
}
