/** Work that is seen inside: the facts from which idleness is decided outside. */
import { create } from '@bufbuild/protobuf';
import { ActivitySchema, type Activity } from '@atelier/api/atelier/supervisor';
import type { Clock } from '@atelier/api';
import { timestampOf } from './wire.ts';

/** How exact the time of the last input is: each new value is a message, and idleness counts in minutes. */
const inputResolutionMs = 10_000;

/** Remembers the last input. */
export class ActivityWatch {
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #lastInputAtMs: number | undefined;

  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** The last input; undefined when there was none. */
  get lastInputAtMs(): number | undefined {
    return this.#lastInputAtMs;
  }

  /** A keystroke or a client's command came. */
  input(): void {
    const nowMs = this.#clock.nowMs();
    const known = this.#lastInputAtMs;
    if (known !== undefined && nowMs >= known && nowMs < known + inputResolutionMs) return;
    this.#lastInputAtMs = nowMs;
    this.#onChange();
  }

  /** The facts, with what runs now. */
  facts(running: { openTerminals: number; runningTasks: number; runningExecutions: number }): Activity {
    const lastInputAt = this.#lastInputAtMs === undefined ? undefined : timestampOf(this.#lastInputAtMs);
    return create(ActivitySchema, { ...running, ...(lastInputAt && { lastInputAt }) });
  }
}
