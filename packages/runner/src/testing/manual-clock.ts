/** A clock that stands still until a test moves it. */
import type { Clock, Timer } from '@atelier/api';

interface Waiting {
  readonly atMs: number;
  readonly fire: () => void;
}

/** Time that a test owns; timers fire in the order of their times. */
export class ManualClock implements Clock {
  private currentMs = Date.UTC(2026, 0, 1);
  private readonly waiting = new Set<Waiting>();

  nowMs(): number {
    return this.currentMs;
  }

  timer(afterMs: number, fire: () => void): Timer {
    const entry: Waiting = { atMs: this.currentMs + Math.ceil(Math.max(0, afterMs)), fire };
    this.waiting.add(entry);
    return { cancel: () => void this.waiting.delete(entry) };
  }

  /** Goes to a later time at which no timer is due. */
  skipTo(timeMs: number): void {
    this.currentMs = Math.max(this.currentMs, timeMs);
  }

  /** Goes to the next timer that is due within `withinMs` and fires it; false when there is none. */
  step(withinMs: number): boolean {
    const next = [...this.waiting].sort((left, right) => left.atMs - right.atMs)[0];
    if (next === undefined || next.atMs > this.currentMs + withinMs) return false;
    this.waiting.delete(next);
    this.currentMs = Math.max(this.currentMs, next.atMs);
    next.fire();
    return true;
  }
}
