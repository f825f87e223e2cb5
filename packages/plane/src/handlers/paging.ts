/** The parts of lists that all nouns share. */
import {
  CountResponseRelation,
  CountResponseSchema,
  type CountRequest,
  type CountResponse,
} from '@atelier/api/gitpod/count';
import {
  PaginationResponseSchema,
  type PaginationRequest,
  type PaginationResponse,
} from '@atelier/api/gitpod/pagination';
import type { Kind, Page, Query } from '@atelier/store';
import { create } from '@bufbuild/protobuf';

/** Page size and token of a request, as the store takes them. */
export function pagingOf(pagination: PaginationRequest | undefined): Pick<Query, 'pageSize' | 'pageToken'> {
  return { pageSize: pagination?.pageSize ?? 0, pageToken: pagination?.token ?? '' };
}

/** Where the list goes on. */
export function paginationOf(page: Page<Kind>): PaginationResponse {
  return create(PaginationResponseSchema, { nextToken: page.nextToken });
}

/** How many there are in all, when it was asked for. */
export function countOf(request: CountRequest | undefined, page: Page<Kind>): CountResponse | undefined {
  if (!request?.include) return undefined;
  return create(CountResponseSchema, { value: page.total ?? 0, relation: CountResponseRelation.EQ });
}

/** Names of enum values, as the store has them as attributes. */
export function enumNames(definition: Readonly<Record<number, string>>, values: readonly number[]): string[] {
  return values.map((value) => definition[value] ?? String(value));
}
