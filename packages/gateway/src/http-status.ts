/** What an error code becomes in HTTP: the status, and whether clients that repeat by status may repeat. */

const statuses: Readonly<Record<string, number>> = {
  canceled: 499,
  unknown: 500,
  invalid_argument: 400,
  deadline_exceeded: 504,
  not_found: 404,
  already_exists: 409,
  permission_denied: 403,
  resource_exhausted: 429,
  failed_precondition: 400,
  aborted: 409,
  out_of_range: 400,
  unimplemented: 501,
  internal: 500,
  unavailable: 503,
  data_loss: 500,
  unauthenticated: 401,
};

/** Codes whose status public clients would repeat a call for, though the same call cannot succeed. */
const notToBeRepeated = new Set([
  'aborted',
  'already_exists',
  'resource_exhausted',
  'unimplemented',
  'data_loss',
]);

/** Status for a code, as the Connect protocol has it; 500 for one that is not known. */
export function httpStatusOf(code: string): number {
  return statuses[code] ?? 500;
}

/** Headers beside an error: public clients repeat 409, 429 and 5xx unless they are told not to. */
export function retryHeadersOf(code: string): Record<string, string> {
  return notToBeRepeated.has(code) ? { 'x-should-retry': 'false' } : {};
}
