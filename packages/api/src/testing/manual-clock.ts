/** A clock that stands still until a test moves it. */
import type { Clock, Timer } from '../clock.ts';

interface Waiting {
  readonly atMs: number;
  readonly fire: () => void;
}

/** Time that a test owns; timers fire in the order of their times. */
export class ManualClock implements Clock {
  private currentMs = Date.UTC(2026, 0, 1);
  private readonly timers = new Set<Waiting>();

  /** How many timers have not fired. */
  get waiting(): number {
    return this.timers.size;
  }

  nowMs(): number {
    return this.currentMs;
  }

  timer(afterMs: number, fire: () => void): Timer {
    const entry: Waiting = { atMs: this.currentMs + Math.ceil(Math.max(0, afterMs)), fire };
    this.timers.add(entry);
    return { cancel: () => void this.timers.delete(entry) };
  }

  /** Lets time pass: every timer that is due by then fires. */
  advance(ms: number): void {
    const untilMs = this.currentMs + ms;
    while (this.step(untilMs - this.currentMs));
    this.skipTo(untilMs);
  }

  /** Goes to a later time at which no timer is due. */
  skipTo(timeMs: number): void {
    this.currentMs = Math.max(this.currentMs, timeMs);
  }

  /** Goes to the next timer that is due within `withinMs` and fires it; false when there is none. */
  step(withinMs: number): boolean {
    const next = [...this.timers].sort((left, right) => left.atMs - right.atMs)[0];
    if (next === undefined || next.atMs > this.currentMs + withinMs) return false;
    this.timers.delete(next);
    this.currentMs = Math.max(this.currentMs, next.atMs);
    next.fire();
    return true;
  }
}
