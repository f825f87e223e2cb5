/** JSON on stdout: the API's own objects, as its JSON form has them. */
import { toJson, type DescMessage, type MessageShape } from '@bufbuild/protobuf';

/** A message as text with a line break at its end. */
export function formatMessage<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>): string {
  return formatJson(toJson(schema, message));
}

/** Messages as one array. */
export function formatMessages<Schema extends DescMessage>(
  schema: Schema,
  messages: readonly MessageShape<Schema>[],
): string {
  return formatJson(messages.map((message) => toJson(schema, message)));
}

/** Any other value that JSON can hold. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
