/** Wakes those who watch something that changes. */

/** A count of changes that can be watched: level, not edge, so that a slow watcher sees the last one only. */
export class Changes {
  #version = 0;
  readonly #waiting = new Set<() => void>();

  /** Says that something has changed. */
  notify(): void {
    this.#version += 1;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Yields at once and again after changes, until the signal is aborted. */
  async *watch(signal: AbortSignal): AsyncIterable<number> {
    let seen = -1;
    while (!signal.aborted) {
      if (seen === this.#version) {
        await this.#next(signal);
      } else {
        seen = this.#version;
        yield seen;
      }
    }
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
