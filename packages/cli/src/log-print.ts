/** Printing logs: one as it is, several with the name of each before its lines. */
import { toAtelierError } from '@atelier/api';
import { readLog, type AtelierClient } from '@atelier/sdk';
import type { CommandContext } from './context.ts';
import { ownEnding } from './ending.ts';
import type { LogTarget } from './log-target.ts';

/** Which environment's logs, and whether to wait for more. */
export interface LogPrint {
  readonly environmentId: string;
  readonly targets: readonly LogTarget[];
  readonly follow: boolean;
}

/** Prints logs to stdout; with `follow` until they end or the person ends it. A step without output is nothing. */
export async function printLogs(
  context: CommandContext,
  client: AtelierClient,
  print: LogPrint,
): Promise<void> {
  const { environmentId, targets, follow } = print;
  const ending = ownEnding(context.system);
  const [only] = targets;
  const single = targets.length === 1;
  const one = async ({ label, name }: LogTarget): Promise<void> => {
    const lines = single ? undefined : new LabelledLines(label, context);
    try {
      for await (const data of readLog(client, environmentId, name, { follow, signal: ending.signal })) {
        if (lines) lines.take(data);
        else await written(context, data);
      }
      lines?.end();
    } catch (thrown) {
      if (single || toAtelierError(thrown).code !== 'not_found') throw thrown;
    }
  };
  try {
    if (single && only) await one(only);
    else if (follow) await Promise.all(targets.map(one));
    else for (const target of targets) await one(target);
  } finally {
    ending.dispose();
  }
}

function written({ system }: CommandContext, data: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    system.stdout.write(data, () => resolve());
  });
}

/** Whole lines only, so that those of several logs do not mix. */
class LabelledLines {
  readonly #prefix: string;
  readonly #out: (text: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = '';

  constructor(label: string, { out }: CommandContext) {
    this.#prefix = `${label} | `;
    this.#out = out;
  }

  take(data: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(data, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#out(`${this.#prefix}${line}\n`);
  }

  end(): void {
    if (this.#rest !== '') this.#out(`${this.#prefix}${this.#rest}\n`);
    this.#rest = '';
  }
}
