/** Files of the environment, read and written as root of it: they are all its own. */
import { createHash } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { open, opendir, readdir, stat, type FileHandle } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { AtelierError } from '@atelier/api';
import {
  FileInfoSchema,
  FindRequest_FileType as FileType,
  FindResponseSchema,
  ReadFileResponseSchema,
  WriteMode,
  type FileInfo,
  type FindRequest,
  type FindResponse,
  type ReadFileRequest,
  type ReadFileResponse,
  type WriteFileRequest,
} from '@atelier/api/supervisor/environment_ops';
import { fileError } from '../machine.ts';
import type { User } from '../users.ts';

/** Bytes of one answer; more is read by offset. Below the size limit of a message. */
const readBytesMax = 3 * 1024 * 1024;
const entriesMax = 10_000;
const foundMax = 1000;
/** Entries that a search looks at before it gives up. */
const visitedMax = 200_000;
const depthMax = 64;

/** A part of a file, or what is in a folder. `path` is absolute. */
export async function readFileOrFolder(path: string, request: ReadFileRequest): Promise<ReadFileResponse> {
  return guarded(`Cannot read ${path}`, async () => {
    // A pipe or a device without a writer would keep the answer back for ever.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const status = await file.stat();
      if (status.isDirectory()) return await listFolder(path);
      if (!status.isFile()) {
        throw new AtelierError(
          'failed_precondition',
          `${path} is no file and no folder; only those can be read.`,
        );
      }
      return await readPart(file, request);
    } finally {
      await file.close();
    }
  });
}

async function readPart(file: FileHandle, request: ReadFileRequest): Promise<ReadFileResponse> {
  const { size } = await file.stat();
  const offset = Number(request.offset);
  const wanted = request.length > 0n ? Number(request.length) : readBytesMax;
  if (offset < 0 || request.length < 0n) {
    throw new AtelierError('invalid_argument', 'The offset and the length must not be negative.');
  }
  // A size of 0 means nothing in /proc, where files have content all the same.
  const length = Math.min(wanted, readBytesMax, size > 0 ? Math.max(0, size - offset) : readBytesMax);
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  const data = buffer.subarray(0, filled);
  const whole = offset === 0 && filled >= size;
  return create(ReadFileResponseSchema, {
    result: {
      case: 'content',
      value: {
        data,
        totalSize: BigInt(Math.max(size, filled)),
        contentHash: whole ? createHash('sha256').update(data).digest('hex') : '',
      },
    },
  });
}

async function listFolder(path: string): Promise<ReadFileResponse> {
  const entries: FileInfo[] = [];
  for await (const entry of await opendir(path)) {
    entries.push(await infoOf(join(path, entry.name), entry));
    if (entries.length >= entriesMax) break;
  }
  entries.sort((one, other) => (one.path < other.path ? -1 : 1));
  return create(ReadFileResponseSchema, { result: { case: 'directory', value: { entries } } });
}

async function infoOf(path: string, entry: Dirent): Promise<FileInfo> {
  const status = await stat(path).catch(() => undefined);
  const isDirectory = status?.isDirectory() ?? entry.isDirectory();
  return create(FileInfoSchema, { path, isDirectory, size: BigInt(isDirectory ? 0 : (status?.size ?? 0)) });
}

const flags: Record<WriteMode, number> = {
  [WriteMode.UNSPECIFIED]: constants.O_CREAT | constants.O_TRUNC,
  [WriteMode.CREATE]: constants.O_CREAT | constants.O_EXCL,
  [WriteMode.TRUNCATE]: constants.O_TRUNC,
  [WriteMode.CREATE_OR_TRUNCATE]: constants.O_CREAT | constants.O_TRUNC,
  [WriteMode.APPEND]: constants.O_CREAT | constants.O_APPEND,
};

/** Writes a file; one that is new belongs to `owner`. Answers the bytes written. `path` is absolute. */
export async function writeFile(
  path: string,
  request: WriteFileRequest,
  owner: User | undefined,
): Promise<number> {
  const mode = flags[request.mode];
  if (mode === undefined)
    throw new AtelierError('invalid_argument', `There is no write mode ${request.mode}.`);
  return guarded(`Cannot write ${path}`, async () => {
    const isNew = (await stat(path).catch(() => undefined)) === undefined;
    const file = await open(path, constants.O_WRONLY | constants.O_NONBLOCK | mode, 0o644);
    try {
      if (!(await file.stat()).isFile()) throw new AtelierError('failed_precondition', `${path} is no file.`);
      if (isNew && owner && process.geteuid?.() === 0) await file.chown(owner.userId, owner.groupId);
      await file.writeFile(request.content);
      return request.content.length;
    } finally {
      await file.close();
    }
  });
}

/** Finds files below a folder by the pattern of their names, nearest first. `folder` is absolute. */
export async function findFiles(folder: string, request: FindRequest): Promise<FindResponse> {
  const matches = matcherOf(request);
  const maxDepth = request.maxDepth > 0 ? Math.min(request.maxDepth, depthMax) : depthMax;
  const files: FileInfo[] = [];
  let level = [folder];
  let visited = 0;
  let truncated = false;
  await guarded(`Cannot search ${folder}`, () => readdir(folder));
  for (let depth = 1; depth <= maxDepth && level.length > 0 && !truncated; depth += 1) {
    const next: string[] = [];
    for (const parent of level) {
      const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
      for (const entry of entries) {
        const path = join(parent, entry.name);
        visited += 1;
        truncated ||= files.length >= foundMax || visited > visitedMax;
        if (truncated) break;
        if (entry.isDirectory() && entry.name !== '.git') next.push(path);
        if (isOfType(entry, request.type) && matches(relative(folder, path)))
          files.push(await infoOf(path, entry));
      }
    }
    level = next;
  }
  return create(FindResponseSchema, { files, truncated });
}

function isOfType(entry: Dirent, type: FileType): boolean {
  if (type === FileType.DIRECTORY) return entry.isDirectory();
  return type === FileType.FILE ? !entry.isDirectory() : true;
}

/** A pattern without wildcards matches any part of the name; a fuzzy one its letters in their order in the path. */
function matcherOf({ pattern, fuzzy }: FindRequest): (path: string) => boolean {
  const lower = pattern.toLowerCase();
  if (fuzzy) {
    return (path) => {
      let position = 0;
      for (const letter of path.toLowerCase()) if (letter === lower[position]) position += 1;
      return position >= lower.length;
    };
  }
  if (!/[*?]/.test(pattern)) return (path) => basename(path).toLowerCase().includes(lower);
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  const expression = escaped
    .replace(/\*+/g, (stars) => (stars.length > 1 ? '.*' : '[^/]*'))
    .replace(/\?/g, '[^/]');
  const regular = new RegExp(`^${expression}$`, 's');
  return (path) => regular.test(pattern.includes('/') ? path : basename(path));
}

async function guarded<Result>(what: string, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (thrown) {
    throw fileError(thrown, what);
  }
}
