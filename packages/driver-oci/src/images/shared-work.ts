/** One piece of work for all who ask for the same thing at the same time. */
import { AtelierError, type Clock, type Timer } from '@atelier/api';
import type { Progress } from '@atelier/driver';

/** Runs `work`, or joins the running one of the same key. */
export type SharedWork<T> = (
  key: string,
  progress: Progress,
  signal: AbortSignal,
  work: (progress: Progress, signal: AbortSignal) => Promise<T>,
) => Promise<T>;

interface Running<T> {
  readonly result: Promise<T>;
  readonly listeners: Set<Progress>;
  readonly controller: AbortController;
}

const silenceMsMax = 1500;

/**
 * Makes a {@link SharedWork}. The work ends early only when everybody who waits for it has given up; the last
 * one waits until it has ended. What is silent for long is told again with its duration.
 */
export function makeSharedWork<T>(clock: Clock): SharedWork<T> {
  const pieces = new Map<string, Running<T>>();

  const begin = (key: string, work: (progress: Progress, signal: AbortSignal) => Promise<T>): Running<T> => {
    const listeners = new Set<Progress>();
    const controller = new AbortController();
    const voice = makeVoice(clock, (message, fraction) => {
      for (const listener of listeners) listener(message, fraction);
    });
    const result = work(voice.say, controller.signal).finally(() => {
      voice.end();
      pieces.delete(key);
    });
    const piece = { result, listeners, controller };
    pieces.set(key, piece);
    return piece;
  };

  return async (key, progress, signal, work) => {
    let piece = pieces.get(key);
    while (piece?.controller.signal.aborted) {
      await piece.result.catch(() => {});
      piece = pieces.get(key);
    }
    if (signal.aborted) throw canceled(key);
    const joined = piece ?? begin(key, work);
    // An object of its own, so that a caller that asks twice is two listeners.
    const listener: Progress = (message, fraction) => progress(message, fraction);
    joined.listeners.add(listener);
    return waitFor(joined, listener, signal, key);
  };
}

async function waitFor<T>(
  piece: Running<T>,
  listener: Progress,
  signal: AbortSignal,
  key: string,
): Promise<T> {
  let leave = (): void => {};
  const left = new Promise<never>((_, reject) => {
    leave = () => {
      piece.listeners.delete(listener);
      if (piece.listeners.size > 0) return reject(canceled(key));
      piece.controller.abort();
      const settle = (): void => reject(canceled(key));
      piece.result.then(settle, settle);
    };
  });
  signal.addEventListener('abort', leave, { once: true });
  const finished = piece.result.finally(() => {
    // The one who gave up last is answered by `left`, whatever the work came to.
    if (signal.aborted) return left;
  });
  try {
    return await Promise.race([finished, left]);
  } finally {
    signal.removeEventListener('abort', leave);
    piece.listeners.delete(listener);
  }
}

function canceled(key: string): AtelierError {
  return new AtelierError('canceled', `the work on ${key.slice(0, 200)} was canceled`);
}

/** Repeats the last message while nothing new is said. */
function makeVoice(clock: Clock, tell: Progress): { say: Progress; end: () => void } {
  let timer: Timer | undefined;
  let last: [message: string, fraction: number | undefined] = ['working', undefined];
  let sinceMs = clock.nowMs();
  const wait = (): void => {
    timer?.cancel();
    timer = clock.timer(silenceMsMax, () => {
      const seconds = Math.round((clock.nowMs() - sinceMs) / 1000);
      tell(`${last[0]} (${seconds} s)`, last[1]);
      wait();
    });
  };
  wait();
  return {
    say(message, fraction) {
      last = [message, fraction];
      sinceMs = clock.nowMs();
      tell(message, fraction);
      wait();
    },
    end: () => timer?.cancel(),
  };
}
