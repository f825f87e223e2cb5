/** The API's own objects on stdout, as its JSON form has them. */
import { toJson, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { formatJson } from './json.ts';

/** A message as text with a line break at its end. */
export function formatMessage<Schema extends DescMessage>(
  schema: Schema,
  message: MessageShape<Schema>,
): string {
  return formatJson(toJson(schema, message));
}

/** Messages as one array. */
export function formatMessages<Schema extends DescMessage>(
  schema: Schema,
  messages: readonly MessageShape<Schema>[],
): string {
  return formatJson(messages.map((message) => toJson(schema, message)));
}
