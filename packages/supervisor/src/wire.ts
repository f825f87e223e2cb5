/** The few values of the wire that are not plain: times and spans. */
import { create } from '@bufbuild/protobuf';
import {
  DurationSchema,
  TimestampSchema,
  timestampFromMs,
  type Duration,
  type Timestamp,
} from '@bufbuild/protobuf/wkt';

/** A point in time from milliseconds since the epoch. */
export function timestampOf(ms: number): Timestamp {
  return create(TimestampSchema, timestampFromMs(Math.floor(ms)));
}

/** A span from milliseconds. */
export function durationOf(ms: number): Duration {
  const whole = Math.max(0, Math.round(ms));
  return create(DurationSchema, {
    seconds: BigInt(Math.floor(whole / 1000)),
    nanos: (whole % 1000) * 1_000_000,
  });
}

/** Milliseconds of a span, never negative. Longer ones than a timer can wait become the longest. */
export function durationMs(duration: Duration): number {
  const ms = Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
  return Math.min(Math.max(0, ms), 0x7fff_ffff);
}
