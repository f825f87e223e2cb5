/**
 * The runner's end of the runner protocol. It dials, says hello, writes what it is told into the ledger
 * before it acknowledges, and dials again when the stream ends, for as long as the runner runs. Nothing
 * here stops an environment: while the plane is away, the ledger is what is desired.
 */
import {
  AtelierError,
  agreedVersion,
  isId,
  runnerProtocolVersion,
  sleep,
  softwareVersion,
  toAtelierError,
  whyUnwritable,
  type Clock,
  type Random,
  type Timer,
} from '@atelier/api';
import {
  DesiredChangeSchema,
  PlaneWelcomeSchema,
  RunnerHelloSchema,
  SyncRequestSchema,
  type DesiredChange,
  type PlaneWelcome,
  type RunnerHello,
  type SyncRequest,
  type SyncResponse,
} from '@atelier/api/atelier/runner_link';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { Ledger } from '../ledger.ts';
import type { Outbox, OutboxConnection } from './outbox.ts';

/** Opens one stream to the plane. The signal ends it; an answer that ends or throws means: dial again. */
export type Dial = (requests: AsyncIterable<SyncRequest>, signal: AbortSignal) => AsyncIterable<SyncResponse>;

/** Pace of the link, in milliseconds. */
export interface PlaneLinkSettings {
  readonly heartbeatMs: number;
  /** A stream on which the plane says nothing for so long is given up. */
  readonly silenceMsMax: number;
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
}

/** Paces for real life. */
export const defaultPlaneLinkSettings: PlaneLinkSettings = {
  heartbeatMs: 5_000,
  silenceMsMax: 30_000,
  backoffMsMin: 250,
  backoffMsMax: 30_000,
};

/** How the runner stands with its plane. `refused` is tried again too, and says what to do. */
export interface PlaneLinkState {
  readonly state: 'stopped' | 'connecting' | 'connected' | 'refused';
  /** Why there is no connection, for people; empty while there is one. */
  readonly message: string;
  /** When the lease ends that the plane gave last; 0 before the first. */
  readonly leaseUntilMs: number;
}

/** What the link is made of. */
export interface PlaneLinkOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly dial: Dial;
  readonly ledger: Ledger;
  readonly outbox: Outbox;
  readonly settings: PlaneLinkSettings;
  /** What hello says about this runner, asked anew for each connection. */
  readonly describe: () => Promise<MessageInitShape<typeof RunnerHelloSchema>>;
  /** Called after a change is in the ledger, with the ids that it touches. */
  readonly onDesired: (environmentIds: readonly string[], change: DesiredChange) => void;
  /** Called when `holds` has become false. */
  readonly onReleased: () => void;
}

/** The link to the plane. */
export interface PlaneLink {
  start(): void;
  /** Ends the stream; resolves when nothing of the link runs any more. */
  stop(): Promise<void>;
  state(): PlaneLinkState;
  /**
   * True between the welcome that follows the end of a lease and the plane's first word after it: environments
   * may have been given to another runner meanwhile, so no step begins until the plane has said what is ours.
   */
  holds(): boolean;
}

/** The real link; see the module comment. */
export function createPlaneLink(options: PlaneLinkOptions): PlaneLink {
  return new RunningPlaneLink(options);
}

class RunningPlaneLink implements PlaneLink {
  private readonly options: PlaneLinkOptions;
  private readonly stopping = new AbortController();
  private current: PlaneLinkState = { state: 'stopped', message: '', leaseUntilMs: 0 };
  private held = false;
  private failures = 0;
  /** The version that hello speaks: a plane of version 1 refuses the one above, so a refusal changes it. */
  private spokenVersion = runnerProtocolVersion;
  private running: Promise<void> = Promise.resolve();

  constructor(options: PlaneLinkOptions) {
    this.options = options;
  }

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  state(): PlaneLinkState {
    return this.current;
  }

  holds(): boolean {
    return this.held;
  }

  private async run(): Promise<void> {
    const { clock, random, settings } = this.options;
    this.change({ state: 'connecting', message: 'The management plane has not answered yet.' });
    while (!this.stopping.signal.aborted) {
      try {
        await this.connect();
        this.change({ state: 'connecting', message: 'The management plane ended the connection.' });
      } catch (thrown) {
        const error = toAtelierError(thrown);
        const refused = ['failed_precondition', 'permission_denied', 'unauthenticated'].includes(error.code);
        if (refused) this.spokenVersion = neighbourOf(this.spokenVersion);
        this.change({ state: refused ? 'refused' : 'connecting', message: error.message });
      }
      this.failures += 1;
      const ceilingMs = Math.min(
        settings.backoffMsMax,
        settings.backoffMsMin * 2 ** Math.min(this.failures - 1, 20),
      );
      await sleep(clock, ceilingMs * (0.5 + random() / 2), this.stopping.signal);
    }
    this.change({ state: 'stopped', message: '' });
  }

  /** One connection, from dial to its end. */
  private async connect(): Promise<void> {
    const { ledger, outbox, dial } = this.options;
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, this.stopping.signal]);
    const timers = new ConnectionTimers(this.options.clock, this.options.settings, abort);
    try {
      const hello = await this.hello();
      if (signal.aborted) return;
      const first = create(SyncRequestSchema, { message: { case: 'hello', value: hello } });
      const connection = outbox.connection(first, () => ledger.welcome()?.leaseEpoch ?? 0n, signal);
      timers.heard();
      let welcomed = false;
      for await (const response of dial(connection.requests, signal)) {
        timers.heard();
        if (!welcomed) {
          await this.welcome(response, hello);
          welcomed = true;
          connection.open();
          timers.beat(connection);
        } else await this.hear(response, connection);
      }
    } catch (thrown) {
      if (abort.signal.aborted) throw abort.signal.reason;
      throw thrown;
    } finally {
      timers.cancel();
      abort.abort();
    }
  }

  private async hello(): Promise<RunnerHello> {
    const { ledger, describe } = this.options;
    return create(RunnerHelloSchema, {
      ...(await describe()),
      protocolVersion: this.spokenVersion,
      softwareVersion,
      planeId: ledger.welcome()?.planeId ?? '',
      acknowledgedRevision: ledger.resumeRevision(),
    });
  }

  private async welcome(response: SyncResponse, hello: RunnerHello): Promise<void> {
    const welcome = requireWelcome(response);
    const { ledger } = this.options;
    const before = ledger.welcome();
    const isOver = this.options.clock.nowMs() > this.current.leaseUntilMs;
    await ledger.welcomed(welcome);
    this.spokenVersion = runnerProtocolVersion;
    if (hello.acknowledgedRevision !== ledger.resumeRevision()) {
      const message = `The management plane is of version ${welcome.softwareVersion} by now; dialling again for the whole set.`;
      throw new AtelierError('unavailable', message);
    }
    // Nobody else can be given what is on a local runner, nor anything before its lease has ended.
    this.held = isOver && !welcome.local && before !== undefined && before.leaseEpoch !== welcome.leaseEpoch;
    this.failures = 0;
    this.change({ state: 'connected', message: '' });
    this.extendLease();
  }

  private async hear(response: SyncResponse, connection: OutboxConnection): Promise<void> {
    const { ledger } = this.options;
    this.extendLease();
    if (response.message.case === 'desired') {
      const change = requireUsable(response.message.value);
      const touched = await ledger.apply(change);
      connection.control(acknowledgement(ledger.revision()));
      this.release();
      this.options.onDesired(touched, change);
    } else if (response.message.case === 'heartbeat') this.release();
  }

  private release(): void {
    if (!this.held) return;
    this.held = false;
    this.options.onReleased();
  }

  private extendLease(): void {
    const lease = this.options.ledger.welcome()?.lease;
    const leaseMs = lease === undefined ? 0 : durationMs(lease);
    this.current = { ...this.current, leaseUntilMs: this.options.clock.nowMs() + leaseMs };
  }

  private change(next: Pick<PlaneLinkState, 'state' | 'message'>): void {
    this.current = { ...this.current, ...next };
  }
}

/** The heartbeat that we send and the silence that we do not bear. */
class ConnectionTimers {
  private readonly clock: Clock;
  private readonly settings: PlaneLinkSettings;
  private readonly abort: AbortController;
  private silence: Timer | undefined;
  private heartbeat: Timer | undefined;

  constructor(clock: Clock, settings: PlaneLinkSettings, abort: AbortController) {
    this.clock = clock;
    this.settings = settings;
    this.abort = abort;
  }

  heard(): void {
    this.silence?.cancel();
    const { silenceMsMax } = this.settings;
    this.silence = this.clock.timer(silenceMsMax, () =>
      this.abort.abort(
        new AtelierError(
          'unavailable',
          `The management plane said nothing for ${Math.round(silenceMsMax / 1000)} s; dialling again.`,
        ),
      ),
    );
  }

  beat(connection: OutboxConnection): void {
    this.heartbeat = this.clock.timer(this.settings.heartbeatMs, () => {
      connection.control(create(SyncRequestSchema, { message: { case: 'heartbeat', value: {} } }));
      this.beat(connection);
    });
  }

  cancel(): void {
    this.silence?.cancel();
    this.heartbeat?.cancel();
  }
}

function neighbourOf(version: number): number {
  return version === runnerProtocolVersion ? runnerProtocolVersion - 1 : runnerProtocolVersion;
}

function requireWelcome(response: SyncResponse): PlaneWelcome {
  if (response.message.case !== 'welcome') {
    throw new AtelierError(
      'invalid_argument',
      'The management plane did not begin with a welcome; dialling again.',
    );
  }
  const welcome = response.message.value;
  if (agreedVersion(runnerProtocolVersion, welcome.protocolVersion) === undefined) {
    throw new AtelierError(
      'failed_precondition',
      `The management plane ${welcome.softwareVersion} speaks version ${welcome.protocolVersion} of the runner protocol and this runner ${softwareVersion} version ${runnerProtocolVersion}: they may be one apart. Update the older of the two.`,
    );
  }
  if (!isId(welcome.planeId)) {
    throw new AtelierError(
      'invalid_argument',
      'The management plane did not say which one it is; dialling again.',
    );
  }
  requireWritable(whyUnwritable(PlaneWelcomeSchema, welcome));
  return welcome;
}

/** What can go into the ledger. Ids become parts of paths and names, so one that is none must not get there. */
function requireUsable(change: DesiredChange): DesiredChange {
  const ids = change.environments.map(({ environment }) => environment?.id ?? '');
  const wrong = [...ids, ...change.forgottenIds].find((id) => !isId(id));
  if (wrong !== undefined) {
    throw new AtelierError(
      'invalid_argument',
      `The management plane sent an environment with the id ${JSON.stringify(wrong)}, which is none.`,
    );
  }
  requireWritable(whyUnwritable(DesiredChangeSchema, change));
  return change;
}

function requireWritable(why: string | undefined): void {
  if (why === undefined) return;
  throw new AtelierError(
    'invalid_argument',
    `The management plane sent what cannot be written down: ${why}. Update the older of the two.`,
  );
}

function acknowledgement(revision: bigint): SyncRequest {
  return create(SyncRequestSchema, { message: { case: 'acknowledgement', value: { revision } } });
}
