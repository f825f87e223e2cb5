/** What the ways in need of a runner: the interface between the gateway and whoever has the environments. */
import type { Transport } from '@connectrpc/connect';

/** The environments that can be reached here. */
export interface EnvironmentAccess {
  /** Calls the environment's supervisor; undefined while it has no link. */
  transport(environmentId: string): Transport | undefined;
  /**
   * The bytes of a log from an offset on, ending when the log has ended (or at once after what is there,
   * unless `follow`). Errors: `not_found`.
   */
  log(
    environmentId: string,
    name: string,
    options: { readonly offset: number; readonly follow: boolean; readonly signal: AbortSignal },
  ): AsyncIterable<Uint8Array>;
  /** Names of the logs that exist. */
  logNames(environmentId: string): Promise<string[]>;
  /** A client is using the environment right now. */
  markActive(environmentId: string): void;
}
