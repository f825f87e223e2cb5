/** What a daemon that comes up tells the command that started it. */
import type { ErrorCode } from '@atelier/api';
import type { Half } from './home.ts';
import type { ProcessIdentity } from './processes.ts';

/** How a daemon is started. */
export interface DaemonOptions {
  readonly halves: readonly Half[];
  /** Undefined takes the port of the last time, or any free one. */
  readonly port?: number | undefined;
  readonly databaseUrl?: string | undefined;
  readonly driverName: 'oci' | 'simulated';
  /** Whether environments get this machine's certificate authorities and proxies; they do unless it is false. */
  readonly inheritsHost?: boolean | undefined;
}

/** One message over the channel between them. */
export type DaemonMessage =
  | { readonly kind: 'step'; readonly label: string; readonly tookMs?: number }
  | { readonly kind: 'ready' }
  /** Another process has the lock: that one is the daemon, or becomes it. */
  | { readonly kind: 'held'; readonly holder: ProcessIdentity }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };
