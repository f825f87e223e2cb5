/** Ids and the deterministic names of what is made for an environment. */
import type { Random } from './clock.ts';
import { AtelierError } from './errors.ts';

/** The form of every id: a UUID in lower case with dashes. */
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the text is an id: checked wherever an id becomes a part of a path or a name. */
export function isId(text: string): boolean {
  return uuidPattern.test(text);
}

/** Gives the text back when it is an id; `invalid_argument` that names `what` otherwise. */
export function requireId(text: string, what: string): string {
  if (!isId(text))
    throw new AtelierError('invalid_argument', `${what} must be a UUID, not ${JSON.stringify(text)}`);
  return text;
}

/** Makes a UUIDv7 (RFC 9562): its first 48 bits are `nowMs`, so that ids sort by their creation. */
export function makeId(nowMs: number, random: Random): string {
  const time = Math.floor(nowMs).toString(16).padStart(12, '0');
  const bits = (count: number): string => {
    let text = '';
    while (text.length < count) text += Math.floor(random() * 16).toString(16);
    return text;
  };
  const variant = (8 + Math.floor(random() * 4)).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${bits(3)}-${variant}${bits(3)}-${bits(12)}`;
}

/** The parts that an environment can have instances for. */
export type InstancePart = 'main' | 'content' | 'build' | 'initialize';

/**
 * The name of an instance: environment id, part and generation. The generation grows when the part has
 * to be made anew, so that "already exists" means success and left-over parts can be listed.
 */
export function instanceName(environmentId: string, part: InstancePart, generation: number): string {
  return `${requireId(environmentId, 'environment id')}-${part}-${generation}`;
}

/** Takes a name of {@link instanceName} apart; undefined for any other text. */
export function parseInstanceName(
  name: string,
): { environmentId: string; part: InstancePart; generation: number } | undefined {
  const match = /^(.{36})-(main|content|build|initialize)-(\d+)$/.exec(name);
  if (!match?.[1] || !isId(match[1])) return undefined;
  return { environmentId: match[1], part: match[2] as InstancePart, generation: Number(match[3]) };
}
