/** Progress on stderr: one line per step with its time; what runs is shown live on a terminal. */
import type { Clock, Timer } from '@atelier/api';
import { formatDuration } from './duration.ts';

/** Where progress goes. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** One step as it is now. */
export interface ProgressStep {
  /** Another key is another line, such as that of a second attempt. */
  readonly key: string;
  readonly label: string;
  readonly state: 'running' | 'succeeded' | 'failed' | 'skipped';
  readonly startedAtMs: number;
  /** Known when it has ended. */
  readonly tookMs?: number;
  readonly message: string;
}

const redrawMs = 200;
const labelWidth = 32;
const marks = { running: '…', succeeded: '✓', failed: '✗', skipped: '-' } as const;

/** Prints each step once when it has ended. */
export class Progress {
  readonly #stream: ProgressStream;
  readonly #clock: Clock;
  readonly #printed = new Set<string>();
  #running: readonly ProgressStep[] = [];
  #liveLines = 0;
  #timer: Timer | undefined;

  constructor(stream: ProgressStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
  }

  /** Shows the steps as they are now; ended ones are printed once, running ones live. */
  update(steps: readonly ProgressStep[]): void {
    this.#erase();
    for (const step of steps) {
      if (step.state === 'running' || step.state === 'skipped' || this.#printed.has(step.key)) continue;
      this.#printed.add(step.key);
      this.#stream.write(`${this.#lineOf(step)}\n`);
    }
    this.#running = steps.filter(({ state }) => state === 'running');
    this.#draw();
  }

  /** Prints a line of its own. */
  note(text: string): void {
    this.#erase();
    this.#stream.write(`${text}\n`);
    this.#draw();
  }

  /** Takes what is live off the screen. */
  end(): void {
    this.#running = [];
    this.#erase();
    this.#timer?.cancel();
  }

  #draw(): void {
    this.#timer?.cancel();
    if (!this.#stream.isTTY || this.#running.length === 0) return;
    const width = this.#stream.columns ?? 80;
    for (const step of this.#running) this.#stream.write(`${this.#lineOf(step).slice(0, width - 1)}\n`);
    this.#liveLines = this.#running.length;
    this.#timer = this.#clock.timer(redrawMs, () => {
      this.#erase();
      this.#draw();
    });
  }

  #erase(): void {
    if (this.#liveLines > 0) this.#stream.write(`\u001b[${this.#liveLines}A\u001b[J`);
    this.#liveLines = 0;
  }

  #lineOf({ label, state, startedAtMs, tookMs, message }: ProgressStep): string {
    const took = formatDuration(tookMs ?? this.#clock.nowMs() - startedAtMs);
    const [first = ''] = message.split('\n');
    return `${marks[state]} ${label.padEnd(labelWidth)} ${took.padStart(8)}  ${first}`.trimEnd();
  }
}
