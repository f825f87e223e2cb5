/** Targets that read the text of a file: mutations of real ones, of which nothing may come that cannot go on. */
import { mutateText, type Grammar } from './mutate.ts';
import { ownCode, type Target } from './target.ts';
import { requireCleanPrototypes, requireSendable } from './value.ts';

/** `whole` has every construct and is among the texts twice; `read` gives all that comes of one. */
export function textTarget(
  grammar: Grammar,
  whole: string,
  read: (text: string) => readonly unknown[],
): Target {
  const texts: [string, ...string[]] = [whole, ...grammar.texts, whole];
  return {
    make: (random) => mutateText(random, { ...grammar, texts }),
    open: async () => ({
      run(input) {
        try {
          requireSendable(read(input as string));
          return 'ok';
        } catch (error) {
          return ownCode(error);
        } finally {
          requireCleanPrototypes();
        }
      },
      close: async () => undefined,
    }),
  };
}
