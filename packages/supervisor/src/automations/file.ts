/** Reads the automations file of the workspace: the first of its places that exists. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
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
      const text = await readText(join(workspaceFolder, path));
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

// Whoever works inside may have put a pipe, a device or an endless file there.
async function readText(path: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((thrown: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(thrown))) return undefined;
    throw thrown;
  });
  if (!file) return undefined;
  try {
    if (!(await file.stat()).isFile())
      throw new AtelierError('invalid_argument', `${path}: this is no file.`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(fileBytesMax + 1), 0, fileBytesMax + 1, 0);
    if (bytesRead > fileBytesMax) {
      throw new AtelierError('invalid_argument', `${path}: the file is larger than ${fileBytesMax} bytes.`);
    }
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
