/** When the processes of an instance last used the CPU, seen in its counter. */

/** A share is counted over at least this time: a look is no work, and nobody pays for more looks. */
const windowMsMin = 30_000;
/**
 * The share of one CPU that is work. What waits uses less, our own supervisor (about 1 %) and servers in watch mode
 * included; a build uses more, even when it waits for the disk.
 */
const workShare = 0.1;

/** Remembers the counter from look to look. */
export class CpuWatch {
  /** The last look that found work since the one before. */
  busyAtMs: number | undefined;
  #seen: { readonly instance: string; readonly atMs: number; readonly cpuUsageMs: number } | undefined;

  /** Takes the counter of an instance as it is now. */
  look(instance: string, cpuUsageMs: number, nowMs: number): void {
    const before = this.#seen;
    const windowMs = before === undefined ? 0 : nowMs - before.atMs;
    // A counter begins anew with each start of the instance, and a clock may be set back.
    const isComparable = before?.instance === instance && cpuUsageMs >= before.cpuUsageMs && windowMs >= 0;
    if (isComparable && windowMs < windowMsMin) return;
    if (isComparable && cpuUsageMs - before.cpuUsageMs >= workShare * windowMs) this.busyAtMs = nowMs;
    this.#seen = { instance, atMs: nowMs, cpuUsageMs };
  }
}
