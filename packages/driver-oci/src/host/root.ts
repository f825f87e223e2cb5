/** Whether this process may do what the driver does. */
import { AtelierError } from '@atelier/api';

/** Why this driver cannot work for this user; undefined for root. */
export function whyNoRoot(): string | undefined {
  if (process.getuid?.() === 0) return undefined;
  return 'the oci driver makes namespaces, mounts and networks, and only root may: run atelier as root, for example with sudo. Without root, "atelier daemon start --driver simulated" is for trying the commands out';
}

/** Errors: `failed_precondition` with what to do for everybody but root. */
export function requireRoot(): void {
  const why = whyNoRoot();
  if (why !== undefined) throw new AtelierError('failed_precondition', why);
}
