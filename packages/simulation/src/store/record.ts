/** One row of the store in memory. */
import type { JsonValue } from '@bufbuild/protobuf';
import type { Kind } from '@atelier/store';

/** A row, or the tombstone of one: then `data` is undefined. */
export interface MemoryRecord {
  readonly kind: Kind;
  readonly id: string;
  readonly organizationId: string;
  readonly environmentId: string;
  revision: bigint;
  readonly createdRevision: bigint;
  contentRevision: bigint;
  name: { readonly owner: string; readonly text: string } | undefined;
  readonly idempotencyKey: string | undefined;
  attributes: Record<string, string>;
  data: JsonValue | undefined;
}
