/**
 * Where the logs of the present boot begin. A supervisor counts the bytes of its logs from its own start;
 * on the runner's disk a log goes on over all boots. The difference is written down once per boot.
 */
import type { Logs } from './logs.ts';
import type { RecordStorage } from './storage.ts';

interface LogBasesDocument {
  readonly boot: string;
  readonly bases: Readonly<Record<string, number>>;
}

/**
 * The offset at which each log of this boot begins; a log that is not named begins at 0. A document that
 * cannot be read counts as that of another boot: what follows is appended, at worst twice.
 */
export async function logBasesOf(
  records: RecordStorage,
  logs: Logs,
  environmentId: string,
  boot: string,
): Promise<ReadonlyMap<string, number>> {
  const kept = parse(await records.read(environmentId, 'log-bases'));
  if (kept?.boot === boot) return new Map(Object.entries(kept.bases));
  const names = await logs.names(environmentId);
  const lengths = await Promise.all(names.map((name) => logs.length(environmentId, name)));
  const bases = Object.fromEntries(names.map((name, index) => [name, lengths[index] ?? 0]));
  await records.write(environmentId, 'log-bases', JSON.stringify({ boot, bases }));
  return new Map(Object.entries(bases));
}

function parse(text: string | undefined): LogBasesDocument | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as LogBasesDocument;
  } catch {
    return undefined;
  }
}
