/**
 * The runner's connection to the supervisor of one instance: who it is, what it says, what it was told. A
 * link comes and goes; everything that counts is said again on each.
 */
import {
  AtelierError,
  agreedVersion,
  softwareVersion,
  supervisorProtocolVersion,
  toAtelierError,
  type Clock,
  type Timer,
} from '@atelier/api';
import {
  SupervisorService,
  SupervisorSpecSchema,
  type SupervisorSpec,
  type SupervisorStatus,
} from '@atelier/api/atelier/supervisor';
import type { Closeable, InstanceDriver, SupervisorLink } from '@atelier/driver';
import { clone, toBinary } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { createClient, type Client, type Transport } from '@connectrpc/connect';
import { isLogName, type Logs } from '../logs.ts';
import { boundedHello, boundedStatus, broken, cutText } from './bounds.ts';
import { sayingWhatIsMissing } from './other-version.ts';

/** What is known of a supervisor while its link is up. */
export interface SupervisorView {
  readonly boot: string;
  readonly softwareVersion: string;
  /** The version of the protocol in which it is spoken to. */
  readonly protocolVersion: number;
  readonly transport: Transport;
  /** Undefined until the first status has come. */
  readonly status: SupervisorStatus | undefined;
  /** Shutdown was asked for on this boot and has ended. */
  readonly shutDown: boolean;
}

/** What a client is made of. */
export interface SupervisorClientOptions {
  readonly clock: Clock;
  readonly instances: InstanceDriver;
  readonly logs: Logs;
  readonly environmentId: string;
  readonly instanceName: string;
  /** At which offset on the disk each log of a boot begins; 0 for a log that is not named. */
  readonly logBases: (boot: string) => Promise<ReadonlyMap<string, number>>;
  /** Called when the view changed. */
  readonly onChange: () => void;
}

const callMs = 10_000;
const rateWindowMs = 10_000;
const statusesPerWindowMax = 200;
const strikePauseMs = 5_000;

/** One instance's supervisor, over all its links. */
export class SupervisorClient {
  readonly instanceName: string;
  /** Why the last link was ended by us; empty while there is nothing to warn of. */
  warning = '';
  private readonly options: SupervisorClientOptions;
  private listening: Promise<Closeable> | undefined;
  private closing = false;
  private session: Session | undefined;
  private refusedUntilMs = 0;
  private applied: { key: string; revision: bigint; link: Session } | undefined;
  private lastRevision = 0n;
  private shutDownBoot: string | undefined;

  constructor(options: SupervisorClientOptions) {
    this.options = options;
    this.instanceName = options.instanceName;
  }

  /** Waits for links from now on; a second call does nothing. */
  async listen(): Promise<void> {
    this.listening ??= this.options.instances.listen(this.instanceName, (link) => this.take(link));
    try {
      await this.listening;
    } catch (error) {
      this.listening = undefined;
      throw error;
    }
  }

  /** Gives the link and the waiting for another one up. The supervisor goes on. */
  async close(): Promise<void> {
    this.closing = true;
    this.session?.end();
    const listening = await this.listening?.catch(() => undefined);
    await listening?.close();
  }

  /** What is known now; undefined while there is no link. */
  view(): SupervisorView | undefined {
    const { session } = this;
    if (session === undefined) return undefined;
    const { boot, transport, status } = session;
    return {
      boot,
      transport,
      status,
      softwareVersion: session.softwareVersion,
      protocolVersion: session.protocolVersion,
      shutDown: this.shutDownBoot === boot,
    };
  }

  /** Whether the supervisor has taken this desired state on the present link and answers for it. */
  isApplied(spec: SupervisorSpec): boolean {
    const { applied, session } = this;
    if (session === undefined || applied === undefined || applied.link !== session) return false;
    return applied.key === keyOf(spec) && (session.status?.revision ?? 0n) >= applied.revision;
  }

  /** Gives the supervisor its desired state; `unavailable` while there is no link. */
  async apply(spec: SupervisorSpec, signal: AbortSignal): Promise<void> {
    const session = this.require();
    const key = keyOf(spec);
    // Grows also over restarts of the runner, which does not remember what it sent.
    const nowRevision = BigInt(Math.floor(this.options.clock.nowMs()));
    const revision = nowRevision > this.lastRevision ? nowRevision : this.lastRevision + 1n;
    this.lastRevision = revision;
    const message = clone(SupervisorSpecSchema, spec);
    message.revision = revision;
    await session.client.apply({ spec: message }, { signal, timeoutMs: callMs });
    this.applied = { key, revision, link: session };
    this.options.onChange();
  }

  /** Ends everything inside in order; returns when that is done. */
  async shutDown(graceMs: number, signal: AbortSignal): Promise<void> {
    const session = this.require();
    await session.client.shutdown({ grace: durationFromMs(graceMs) }, { signal });
    this.shutDownBoot = session.boot;
    this.options.onChange();
  }

  private require(): Session {
    if (this.session !== undefined) return this.session;
    throw new AtelierError('unavailable', 'The supervisor of the environment has not dialled yet.');
  }

  private take(link: SupervisorLink): void {
    if (this.closing || this.options.clock.nowMs() < this.refusedUntilMs) {
      link.close();
      return;
    }
    void this.serve(link);
  }

  /** One link from its first byte to its end. */
  private async serve(link: SupervisorLink): Promise<void> {
    const session = new Session(link, this.options.clock);
    try {
      await session.hello();
      if (this.closing) return;
      this.session?.end();
      this.session = session;
      this.options.onChange();
      await Promise.race([link.closed, this.watchStatus(session), this.watchLogs(session)]);
    } catch (thrown) {
      const warning = warningOf(toAtelierError(thrown));
      if (warning !== undefined) {
        this.warning = warning;
        this.refusedUntilMs = this.options.clock.nowMs() + strikePauseMs;
      }
    } finally {
      session.end();
      if (this.session === session) {
        this.session = undefined;
        this.options.onChange();
      }
    }
  }

  private async watchStatus(session: Session): Promise<void> {
    const { clock } = this.options;
    let windowSinceMs = clock.nowMs();
    let count = 0;
    for await (const { status } of session.client.watchStatus({}, { signal: session.signal })) {
      if (status === undefined) throw broken('it sent an empty status');
      const nowMs = clock.nowMs();
      if (nowMs - windowSinceMs >= rateWindowMs) {
        windowSinceMs = nowMs;
        count = 0;
      }
      count += 1;
      if (count > statusesPerWindowMax) throw broken('it sends statuses without end');
      session.status = boundedStatus(status);
      this.options.onChange();
    }
  }

  private async watchLogs(session: Session): Promise<void> {
    const { logs, environmentId, logBases } = this.options;
    const bases = await logBases(session.boot);
    const names = (await logs.names(environmentId)).filter((name) => !name.startsWith('step/'));
    const lengths = await Promise.all(names.map((name) => logs.length(environmentId, name)));
    const offsets = Object.fromEntries(
      names.map((name, index) => [name, BigInt((lengths[index] ?? 0) - (bases.get(name) ?? 0))]),
    );
    const parts = session.client.watchLogs({ offsets }, { signal: session.signal });
    for await (const { log, offset, data } of parts) {
      // A step's log is the runner's own.
      if (!isLogName(log) || log.startsWith('step/'))
        throw broken(`it writes the log ${JSON.stringify(cutText(log, 100))}`);
      if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw broken('it gives a log an impossible offset');
      await logs.append(environmentId, log, (bases.get(log) ?? 0) + Number(offset), data);
    }
  }
}

/** One link that has said hello. */
class Session {
  boot = '';
  softwareVersion = '';
  protocolVersion = 0;
  status: SupervisorStatus | undefined;
  transport: Transport;
  readonly client: Client<typeof SupervisorService>;
  readonly signal: AbortSignal;
  private readonly link: SupervisorLink;
  private readonly abort = new AbortController();
  private readonly silence: Timer;

  constructor(link: SupervisorLink, clock: Clock) {
    this.link = link;
    this.transport = link.transport;
    this.client = createClient(SupervisorService, link.transport);
    this.signal = this.abort.signal;
    this.silence = clock.timer(callMs, () => this.end());
  }

  async hello(): Promise<void> {
    const request = { protocolVersion: supervisorProtocolVersion };
    const hello = boundedHello(await this.client.hello(request, { signal: this.signal }));
    this.silence.cancel();
    const agreed = agreedVersion(supervisorProtocolVersion, hello.protocolVersion);
    if (agreed === undefined) {
      throw new AtelierError(
        'failed_precondition',
        `The supervisor ${hello.softwareVersion} speaks version ${hello.protocolVersion} of its protocol and this runner ${softwareVersion} version ${supervisorProtocolVersion}: they may be one apart. Stop and start the environment to give it the present one.`,
      );
    }
    this.boot = hello.boot;
    this.softwareVersion = hello.softwareVersion;
    this.protocolVersion = agreed;
    this.transport = sayingWhatIsMissing(this.link.transport, hello.softwareVersion);
  }

  end(): void {
    this.silence.cancel();
    this.abort.abort();
    this.link.close();
  }
}

/** What to say of a link that ended so; undefined for one that merely broke. */
function warningOf(error: AtelierError): string | undefined {
  if (error.code === 'resource_exhausted') return broken('it sent a message that is too large').message;
  const isAgainstTheForm = error.code === 'invalid_argument' || error.code === 'failed_precondition';
  return isAgainstTheForm ? error.message : undefined;
}

function keyOf(spec: SupervisorSpec): string {
  return Buffer.from(toBinary(SupervisorSpecSchema, spec)).toString('base64');
}
