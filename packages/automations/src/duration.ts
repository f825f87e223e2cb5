/** Durations as people write them. */

const unitsMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/**
 * Reads a duration: a number of seconds, or text of numbers with units ("30s", "5m", "1h30m", "500ms").
 * Answers whole milliseconds, undefined for anything else, negative durations included.
 */
export function parseDurationMs(value: unknown): number | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value) && value >= 0 ? Math.round(value * 1000) : undefined;
  }
  if (typeof value !== 'string' || !/^(?:\d{1,9}(?:\.\d{1,9})?(?:h|ms|m|s))+$/.test(value)) return undefined;
  let totalMs = 0;
  for (const [, number, unit] of value.matchAll(/([\d.]+)(h|ms|m|s)/g)) {
    totalMs += Number(number) * (unitsMs[unit ?? ''] ?? 0);
  }
  return Math.round(totalMs);
}
