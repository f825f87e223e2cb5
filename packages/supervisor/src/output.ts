/** Bytes that somebody will read later, again, or more slowly than they come: a bounded window of a stream. */

/** A window of a byte stream that is addressed by offsets since the stream began. */
export class OutputBuffer {
  #chunks: Buffer[] = [];
  /** Offset of the first byte that is still here. */
  start = 0;
  /** Offset after the last byte that came. */
  end = 0;

  /** Takes bytes; the buffer is kept, not copied. */
  append(data: Buffer): void {
    if (data.length === 0) return;
    const last = this.#chunks.at(-1);
    // Programs that write byte by byte would otherwise cost a hundred times their output.
    if (last && data.length < 1024 && last.length < 4096) {
      this.#chunks[this.#chunks.length - 1] = Buffer.concat([last, data]);
    } else {
      this.#chunks.push(data.length * 2 < data.buffer.byteLength ? Buffer.from(data) : data);
    }
    this.end += data.length;
  }

  /** At most `bytesMax` bytes from `offset`, or from the first byte that is here; undefined when there are none. */
  read(offset: number, bytesMax: number): { readonly offset: number; readonly data: Buffer } | undefined {
    const from = Math.max(offset, this.start);
    if (from >= this.end) return undefined;
    const parts: Buffer[] = [];
    let position = this.start;
    let wanted = bytesMax;
    for (const chunk of this.#chunks) {
      if (wanted === 0) break;
      if (position + chunk.length > from) {
        const part = chunk.subarray(Math.max(0, from - position)).subarray(0, wanted);
        parts.push(part);
        wanted -= part.length;
      }
      position += chunk.length;
    }
    return { offset: from, data: parts.length === 1 ? parts[0]! : Buffer.concat(parts) };
  }

  /** Forgets bytes before `offset`: the whole chunks among them always, a huge single chunk in part. */
  dropBefore(offset: number): void {
    let dropped = 0;
    while (dropped < this.#chunks.length && this.start + this.#chunks[dropped]!.length <= offset) {
      this.start += this.#chunks[dropped]!.length;
      dropped += 1;
    }
    if (dropped > 0) this.#chunks.splice(0, dropped);
  }
}

/** Wakes those who wait for the next change of something. */
export class Signal {
  #waiting: (() => void)[] = [];

  /** Wakes everybody who waits now. */
  notify(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves at the next `notify`, or when `signal` is aborted. */
  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = (): void => {
        signal?.removeEventListener('abort', wake);
        const index = this.#waiting.indexOf(wake);
        if (index >= 0) this.#waiting.splice(index, 1);
        resolve();
      };
      this.#waiting.push(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }
}
