/** Output of life-cycle commands, tasks and services: the last megabyte of each, by offsets. */
import { OutputBuffer, Signal } from './output.ts';
import type { WatchLogsResponse } from '@atelier/api/atelier/supervisor';

const logBytesMax = 1024 * 1024;
const partBytesMax = 64 * 1024;
/** Bytes of all logs together, so that many that talk do not add up; the one that is silent longest gives first. */
const allBytesMax = 16 * 1024 * 1024;
/** Logs that are kept; the one that was written to longest ago goes first. */
const logsMax = 200;

/** One piece of a log, as it goes over the wire. */
export type LogPart = Pick<WatchLogsResponse, 'log' | 'offset' | 'data'>;

/** All logs of an environment. */
export class Logs {
  readonly #logs = new Map<string, OutputBuffer>();
  readonly #changed = new Signal();

  /** Adds bytes to a log, which begins with its first bytes. */
  append(log: string, data: Buffer): void {
    const buffer = this.#logs.get(log) ?? new OutputBuffer();
    this.#logs.delete(log);
    this.#logs.set(log, buffer);
    buffer.append(data);
    buffer.dropBefore(buffer.end - logBytesMax);
    let bytes = 0;
    for (const { start, end } of this.#logs.values()) bytes += end - start;
    for (const [name, oldest] of this.#logs) {
      if (bytes > allBytesMax) {
        bytes -= oldest.end - oldest.start;
        oldest.dropBefore(oldest.end);
      }
      if (this.#logs.size > logsMax) this.#logs.delete(name);
    }
    this.#changed.notify();
  }

  /** The last line of a log that says something, for a status; at most 500 characters. */
  lastLine(log: string): string {
    const buffer = this.#logs.get(log);
    const text = buffer?.read(Math.max(0, buffer.end - 4096), 4096)?.data.toString('utf8') ?? '';
    return (
      text
        .split(/[\r\n]+/)
        .findLast((line) => line.trim() !== '')
        ?.trim()
        .slice(0, 500) ?? ''
    );
  }

  /**
   * Every log from the offsets that the caller has, then what comes, until `signal` is aborted. An offset that
   * no log has reached is of an earlier run of the supervisor: that log begins anew.
   */
  async *watch(offsets: Readonly<Record<string, bigint>>, signal: AbortSignal): AsyncIterable<LogPart> {
    const positions = new Map(Object.entries(offsets).map(([log, offset]) => [log, Number(offset)]));
    while (!signal.aborted) {
      let given = false;
      // A log that is written to meanwhile moves to the end and would be met again.
      for (const [log, buffer] of Array.from(this.#logs)) {
        const position = positions.get(log) ?? 0;
        const part = buffer.read(position > buffer.end ? 0 : position, partBytesMax);
        if (!part) continue;
        positions.set(log, part.offset + part.data.length);
        given = true;
        yield { log, offset: BigInt(part.offset), data: part.data };
      }
      if (!given && !signal.aborted) await this.#changed.wait(signal);
    }
  }
}
