/** One piece of work at a time per key, in the order of the calls. */
export type Serial = <T>(key: string, work: () => Promise<T>) => Promise<T>;

/** Makes a {@link Serial}. A piece that fails does not hold up the next one. */
export function makeSerial(): Serial {
  const tails = new Map<string, Promise<unknown>>();
  return (key, work) => {
    const result = (tails.get(key) ?? Promise.resolve()).then(work);
    const tail = result.catch(() => {});
    tails.set(key, tail);
    void tail.then(() => {
      if (tails.get(key) === tail) tails.delete(key);
    });
    return result;
  };
}

/** Waits for all of them, also when one fails, so that nothing still works when its failure is cleaned up after. */
export async function allDone(work: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}
