/** What can come over the wire and cannot be written down. */
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
