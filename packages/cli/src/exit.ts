/** Exit codes: 0 is success, an error has the code of its kind, and `exec` and `shell` keep 255 for Atelier itself. */
import type { ErrorCode } from '@atelier/api';

/** The exit code of each kind of error. */
export const exitCodes: Readonly<Record<ErrorCode, number>> = {
  internal: 1,
  invalid_argument: 2,
  unauthenticated: 3,
  permission_denied: 4,
  not_found: 5,
  already_exists: 6,
  failed_precondition: 7,
  aborted: 8,
  resource_exhausted: 9,
  deadline_exceeded: 10,
  unavailable: 11,
  unimplemented: 12,
  data_loss: 13,
  canceled: 130,
};

/** The exit code of `exec` and `shell` when Atelier itself failed: every other code is the command's own. */
export const ownFailure = 255;

/** The exit code for a command line that cannot be understood. */
export const misuse = exitCodes.invalid_argument;

/** The exit code for an error of this code. */
export function exitCodeOf(code: ErrorCode): number {
  return exitCodes[code];
}
