/** What PostgreSQL and its client raise, in our codes. */
import { AtelierError } from '@atelier/api';
import { DatabaseError } from 'pg';

/** Text that PostgreSQL cannot hold: a zero character, or half of a surrogate pair. */
const unusableText = new Set(['22021', '22P05', '22P02']);

/** Maps an error; one that is ours already is left as it is. */
export function storeError(error: unknown): AtelierError {
  if (error instanceof AtelierError) return error;
  const options = { cause: error };
  if (!(error instanceof DatabaseError)) {
    return new AtelierError('unavailable', `the database did not answer: ${messageOf(error)}`, options);
  }
  if (error.code === '23505' && error.constraint === 'resources_by_name') {
    return new AtelierError('already_exists', 'the name is taken; choose another one', options);
  }
  if (error.code === '23505') {
    return new AtelierError('already_exists', 'a resource with this id exists already', options);
  }
  if (unusableText.has(error.code ?? '')) {
    return new AtelierError('invalid_argument', 'the text has a character that cannot be stored', options);
  }
  if (error.code?.startsWith('53')) {
    return new AtelierError('resource_exhausted', `the database has no room left: ${error.message}`, options);
  }
  return new AtelierError('unavailable', `the database did not answer: ${error.message}`, options);
}

/** Why the schema could not be brought up to date. */
export function migrationError(error: unknown): AtelierError {
  if (messageOf(error).startsWith('corrupted migrations')) {
    return new AtelierError(
      'failed_precondition',
      'the database was written by another version of Atelier; start that version, or use another database',
      { cause: error },
    );
  }
  return storeError(error);
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
