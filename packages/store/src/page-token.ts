/** Page tokens: where a list goes on, opaque to clients. */
import { AtelierError } from '@atelier/api';

/** The key of the last row of a page: the value that was sorted by, then the id. */
export interface PagePosition {
  readonly sortKey: string;
  readonly id: string;
}

/** Writes a position as a token. */
export function encodePageToken(position: PagePosition): string {
  return Buffer.from(JSON.stringify([position.sortKey, position.id])).toString('base64url');
}

/** Reads a token; `invalid_argument` for anything that {@link encodePageToken} did not write. */
export function decodePageToken(token: string): PagePosition {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    if (
      Array.isArray(parsed) &&
      parsed.length === 2 &&
      typeof parsed[0] === 'string' &&
      typeof parsed[1] === 'string'
    ) {
      return { sortKey: parsed[0], id: parsed[1] };
    }
  } catch {
    // Falls through to the one error below: what is wrong inside does not matter to the client.
  }
  throw new AtelierError(
    'invalid_argument',
    'pagination.token is not a token of this list; begin again without a token',
  );
}
