/** What cannot be written down or sent on. */
import { toJson, type DescMessage, type MessageShape } from '@bufbuild/protobuf';

/**
 * Why a message cannot be written as JSON, undefined when it can: the binary form carries times and spans that
 * JSON has no text for. Whoever keeps what others sent asks first.
 */
export function whyUnwritable<Schema extends DescMessage>(
  schema: Schema,
  message: MessageShape<Schema>,
): string | undefined {
  try {
    toJson(schema, message);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What a text has in it that no program takes as an argument and no message as a text; undefined when nothing. */
export function whyUnsendable(text: string): string | undefined {
  if (text.includes('\0')) return 'the character NUL';
  return text.isWellFormed() ? undefined : 'half of a surrogate pair';
}
