/** The daemon's log: it and its children write to one open file, so it is cut where it is, not replaced. */
import { copyFileSync, statSync, truncateSync } from 'node:fs';
import type { Clock, Timer } from '@atelier/api';

const logBytesMax = 10 * 1024 * 1024;
const lookMs = 60_000;

/** Keeps the log below a size for as long as the process lives: what was before lies in `<log>.1`. */
export function limitLog(path: string, clock: Clock): { stop(): void } {
  let timer: Timer | undefined;
  const look = (): void => {
    rotateLog(path, logBytesMax);
    timer = clock.timer(lookMs, look);
  };
  look();
  return { stop: () => timer?.cancel() };
}

/** Cuts the log when it is larger than `bytesMax`. */
export function rotateLog(path: string, bytesMax: number): void {
  try {
    if (statSync(path).size <= bytesMax) return;
    copyFileSync(path, `${path}.1`);
    truncateSync(path, 0);
  } catch {
    // A log that cannot be cut must not end the daemon.
  }
}
