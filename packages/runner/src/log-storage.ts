/**
 * Logs of environments on the runner's disk: one file per log, `log/<name>.log`. A log that grows beyond
 * the limit goes on in `log/<name>@<offset of its first byte>.log`, and of these the last two are kept.
 */
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { requireId } from '@atelier/api';
import { absentAs } from './storage.ts';

/** Where logs lie. Offsets count bytes since the log began, also after its oldest part was dropped. */
export interface LogStorage {
  /** Offset of the next byte; 0 for a log that does not exist. */
  length(environmentId: string, name: string): Promise<number>;
  /** Adds bytes at `offset`, which is at least the length: what lies between was lost by the sender. */
  append(environmentId: string, name: string, offset: number, data: Uint8Array): Promise<void>;
  /** Reads at most `bytesMax` bytes from `offset`, or from the oldest byte that is kept. Empty at the end. */
  read(environmentId: string, name: string, offset: number, bytesMax: number): Promise<LogPart>;
  /** Names of all logs of the environment, sorted. */
  names(environmentId: string): Promise<string[]>;
  /** Deletes all logs of the environment. */
  remove(environmentId: string): Promise<void>;
}

/** A part of a log, with the offset of its first byte since the log began. */
export interface LogPart {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** One file of a log. */
interface Segment {
  readonly start: number;
  readonly path: string;
  readonly bytes: number;
}

const segmentsKept = 2;

/** Logs under `<folder>/<environment id>/log`; a file grows to `segmentBytesMax` at most by whole appends. */
export function openLogStorage(folder: string, segmentBytesMax = 16 * 1024 * 1024): LogStorage {
  const logFolder = (environmentId: string): string =>
    join(folder, requireId(environmentId, 'environment id'), 'log');
  return {
    async length(environmentId, name) {
      return endOf(await segmentsOf(logFolder(environmentId), name));
    },
    async append(environmentId, name, offset, data) {
      const base = join(logFolder(environmentId), name);
      const segments = await segmentsOf(logFolder(environmentId), name);
      const last = segments.at(-1);
      const goesOn =
        last !== undefined && endOf(segments) === offset && last.bytes + data.length <= segmentBytesMax;
      const path = goesOn ? last.path : offset === 0 ? `${base}.log` : `${base}@${offset}.log`;
      await mkdir(dirname(base), { recursive: true, mode: 0o700 });
      const file = await open(path, 'a', 0o600);
      try {
        await file.writeFile(data);
      } finally {
        await file.close();
      }
      if (goesOn) return;
      const dropped = segments.slice(0, Math.max(0, segments.length + 1 - segmentsKept));
      await Promise.all(dropped.map((segment) => rm(segment.path, { force: true })));
    },
    async read(environmentId, name, offset, bytesMax) {
      const segments = await segmentsOf(logFolder(environmentId), name);
      const segment = segments.find(({ start, bytes }) => offset < start + bytes);
      if (segment === undefined) return { offset, data: new Uint8Array() };
      const from = Math.max(offset, segment.start);
      return { offset: from, data: await readPart(segment, from, bytesMax) };
    },
    async names(environmentId) {
      const entries = await readdir(logFolder(environmentId), { recursive: true }).catch(absentAs([]));
      const names = entries.flatMap((entry) => /^(.*?)(?:@\d+)?\.log$/.exec(entry)?.[1] ?? []);
      return [...new Set(names)].sort();
    },
    async remove(environmentId) {
      await rm(logFolder(environmentId), { recursive: true, force: true });
    },
  };
}

async function segmentsOf(folder: string, name: string): Promise<Segment[]> {
  const path = join(folder, name);
  const entries = await readdir(dirname(path)).catch(absentAs([]));
  const stem = name.slice(name.lastIndexOf('/') + 1);
  const starts = entries.flatMap((entry) => {
    if (entry === `${stem}.log`) return [0];
    if (!entry.startsWith(`${stem}@`)) return [];
    const start = /^@(\d+)\.log$/.exec(entry.slice(stem.length))?.[1];
    return start === undefined ? [] : [Number(start)];
  });
  const segments = starts.map(async (start): Promise<Segment> => {
    const file = start === 0 ? `${path}.log` : `${path}@${start}.log`;
    return { start, path: file, bytes: (await stat(file)).size };
  });
  return (await Promise.all(segments)).sort((left, right) => left.start - right.start);
}

function endOf(segments: readonly Segment[]): number {
  const last = segments.at(-1);
  return last === undefined ? 0 : last.start + last.bytes;
}

async function readPart(segment: Segment, from: number, bytesMax: number): Promise<Uint8Array> {
  const file = await open(segment.path, 'r');
  try {
    const size = Math.min(bytesMax, segment.start + segment.bytes - from);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, from - segment.start);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
