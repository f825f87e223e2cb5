/** The part of a client that its helpers stand on. */
import type { Clock } from '@atelier/api';
import type { DescService } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';

/** Makes typed calls to a management plane. */
export interface Caller {
  readonly clock: Clock;
  /** How long calls that may be repeated, watches and processes wait for a plane that is away. */
  readonly patienceMs: number;
  /** Typed calls of a service, such as `client.service(EnvironmentService).getEnvironment(...)`. */
  service<Service extends DescService>(definition: Service): Client<Service>;
}
