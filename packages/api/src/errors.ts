/**
 * The one error class and its closed set of codes. An error says what went wrong, with which object,
 * and what to do next; `cause` is for logs and never leaves the process.
 */
import { Code, ConnectError } from '@connectrpc/connect';

/** The closed set of codes: the Connect codes that Atelier uses, spelled as on the wire. */
export const errorCodes = [
  'invalid_argument',
  'unauthenticated',
  'permission_denied',
  'not_found',
  'already_exists',
  'failed_precondition',
  'aborted',
  'resource_exhausted',
  'deadline_exceeded',
  'canceled',
  'unavailable',
  'unimplemented',
  'data_loss',
  'internal',
] as const;

/** One of the closed set of error codes. */
export type ErrorCode = (typeof errorCodes)[number];

const connectCodes: Record<ErrorCode, Code> = {
  invalid_argument: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  failed_precondition: Code.FailedPrecondition,
  aborted: Code.Aborted,
  resource_exhausted: Code.ResourceExhausted,
  deadline_exceeded: Code.DeadlineExceeded,
  canceled: Code.Canceled,
  unavailable: Code.Unavailable,
  unimplemented: Code.Unimplemented,
  data_loss: Code.DataLoss,
  internal: Code.Internal,
};

/** What may stand beside the message of an {@link AtelierError}. */
export interface ErrorOptions {
  /** The error below this one: for logs, never sent to a client. */
  cause?: unknown;
}

/** Every error that Atelier raises on purpose. */
export class AtelierError extends Error {
  override readonly name = 'AtelierError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
  }
}

/** Gives any thrown value as an AtelierError: what is not ours becomes `internal` with its message. */
export function toAtelierError(thrown: unknown): AtelierError {
  if (thrown instanceof AtelierError || isOfAnotherCopy(thrown)) return thrown;
  if (thrown instanceof ConnectError) return fromConnectError(thrown);
  if (thrown instanceof Error && thrown.name === 'AbortError') {
    return new AtelierError('canceled', thrown.message, { cause: thrown });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AtelierError('internal', message, { cause: thrown });
}

/** A packed command line has this module once more, beside that of the parts that it loads from the sources. */
function isOfAnotherCopy(thrown: unknown): thrown is AtelierError {
  if (!(thrown instanceof Error) || thrown.name !== 'AtelierError') return false;
  return 'code' in thrown && errorCodes.includes(thrown.code as ErrorCode);
}

/** Maps an error to the wire: the code and the message go, the cause stays. */
export function toConnectError(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const error = toAtelierError(thrown);
  return new ConnectError(error.message, connectCodes[error.code], undefined, undefined, error.cause);
}

/** Maps an error that came over the wire; a code outside the closed set becomes `internal`. */
export function fromConnectError(error: ConnectError): AtelierError {
  const code = errorCodes.find((candidate) => connectCodes[candidate] === error.code) ?? 'internal';
  return new AtelierError(code, error.rawMessage, { cause: error });
}

/** Whether trying the same thing again later may succeed without anybody changing anything. */
export function isRetryable(error: AtelierError): boolean {
  return ['unavailable', 'aborted', 'deadline_exceeded', 'resource_exhausted', 'internal'].includes(
    error.code,
  );
}
