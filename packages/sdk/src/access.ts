/** The way into one environment: its address and a token for it, both found anew when they are no longer good. */
import { AtelierError } from '@atelier/api';
import { EnvironmentPhase, EnvironmentService, type Environment } from '@atelier/api/gitpod/environment';
import type { DescService } from '@bufbuild/protobuf';
import { createClient as createServiceClient, type Client, type Transport } from '@connectrpc/connect';
import type { Caller } from './caller.ts';
import { openConnection, type Connection } from './connection.ts';

/** An address with a token that is good now. */
export interface OpenAccess {
  /** Base of the environment's services: `status.environmentUrls.ops`. */
  readonly url: string;
  readonly token: string;
  readonly transport: Transport;
}

/** The way into one environment. */
export interface EnvironmentAccess {
  readonly environmentId: string;
  /**
   * Finds the way. Errors: `failed_precondition` when the environment is not running (says what it does and
   * how to start it), `unavailable` while it has no address yet, `not_found`.
   */
  open(): Promise<OpenAccess>;
  /** Typed calls of a service inside, such as `ProcessService`. */
  service<Service extends DescService>(definition: Service): Promise<Client<Service>>;
  /** Forgets address and token: called after a call through them failed. */
  forget(): void;
  /** Ends the connection. */
  close(): void;
}

/** A token is renewed when a tenth of its life is left, and never later than a minute before its end. */
const renewBeforeMs = 60_000;
const lifetimeMsUnknown = 10 * 60_000;

/** Makes the way in; nothing is asked before the first `open`. */
export function openAccess(source: Caller, environmentId: string): EnvironmentAccess {
  const { clock } = source;
  let current: { open: OpenAccess; connection: Connection; renewAtMs: number } | undefined;
  let opening: Promise<OpenAccess> | undefined;

  async function find(): Promise<OpenAccess> {
    const environments = source.service(EnvironmentService);
    const [url, token] = await Promise.all([
      environments.getEnvironment({ environmentId }).then(({ environment }) => addressOf(environment)),
      environments.createEnvironmentAccessToken({ environmentId }).then((answer) => answer.accessToken),
    ]);
    const reusable = current?.open.url === url ? current.connection : undefined;
    if (!reusable) current?.connection.close();
    // The connection outlives its first token: each call takes the present one.
    const connection =
      reusable ??
      openConnection({ baseUrl: url, token: () => current?.open.token ?? token, clock, patienceMs: 0 });
    const open = { url, token, transport: connection.transport };
    current = { open, connection, renewAtMs: renewalOf(token, clock.nowMs()) };
    return open;
  }

  async function open(): Promise<OpenAccess> {
    if (current && clock.nowMs() < current.renewAtMs) return current.open;
    opening ??= find().finally(() => (opening = undefined));
    return opening;
  }

  return {
    environmentId,
    open,
    service: async (definition) => createServiceClient(definition, (await open()).transport),
    forget() {
      if (current) current.renewAtMs = 0;
    },
    close() {
      current?.connection.close();
      current = undefined;
    },
  };
}

/** The phases in which something may run inside; while it is updated that is what ran before. */
const enterable = new Set([EnvironmentPhase.RUNNING, EnvironmentPhase.STARTING, EnvironmentPhase.UPDATING]);
const stopped = new Set([EnvironmentPhase.STOPPED, EnvironmentPhase.STOPPING]);

function addressOf(environment: Environment | undefined): string {
  const status = environment?.status;
  const phase = status?.phase ?? EnvironmentPhase.UNSPECIFIED;
  if (!enterable.has(phase)) {
    const name = nameOf(environment);
    const advice = stopped.has(phase)
      ? `start it with "atelier start ${name}"`
      : `"atelier status ${name}" says what goes on`;
    throw new AtelierError(
      'failed_precondition',
      `environment ${name} is ${EnvironmentPhase[phase]}; ${advice}`,
    );
  }
  const url = status?.environmentUrls?.ops ?? '';
  if (url !== '') return url;
  throw new AtelierError('unavailable', `environment ${nameOf(environment)} has no address yet; try again`);
}

function nameOf(environment: Environment | undefined): string {
  return environment?.metadata?.name || environment?.id || '';
}

/** When a token has to be replaced: by its own `exp`, which is readable without its key. */
function renewalOf(token: string, nowMs: number): number {
  const lifetimeMs = (expiryOf(token) ?? nowMs + lifetimeMsUnknown) - nowMs;
  return nowMs + Math.min(lifetimeMs * 0.9, lifetimeMs - renewBeforeMs);
}

function expiryOf(token: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    const expiry = (claims as { exp?: unknown }).exp;
    return typeof expiry === 'number' ? expiry * 1000 : undefined;
  } catch {
    return undefined;
  }
}
