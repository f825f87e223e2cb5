/**
 * Networks: one attachment per environment, shared by all its instances. Read `driver.ts` first.
 *
 * Denied whatever the policy says: other environments, the host's addresses but for names on the gateway,
 * link-local and metadata addresses, and a source address that is not the attachment's own. The control
 * path to the supervisor never uses it.
 */

/** What an environment may reach beyond the denials above. */
export interface NetworkPolicy {
  /** `internet`: everything public. `none`: nothing but itself. */
  readonly egress: 'internet' | 'none';
  /** Whether private ranges (RFC 1918, RFC 4193) may be reached as well. */
  readonly privateRanges: boolean;
}

/** One attachment, as found on the machine. */
export interface Network {
  readonly environmentId: string;
  /** The environment's own IPv4 address; the host reaches it there. */
  readonly address: string;
  readonly policy: NetworkPolicy;
}

/** Networks of one driver. */
export interface NetworkDriver {
  /** All attachments of this home. */
  list(): Promise<Network[]>;
  /**
   * Makes the attachment, or changes its policy in place. Cost: tens of milliseconds, a few when it is there.
   * Errors: `resource_exhausted` (no address left), `failed_precondition` (policy that cannot be enforced here).
   */
  ensure(environmentId: string, policy: NetworkPolicy): Promise<Network>;
  /** Takes the attachment away, its interfaces, rules and address claims too. */
  remove(environmentId: string): Promise<void>;
}
