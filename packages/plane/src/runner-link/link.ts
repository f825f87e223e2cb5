/**
 * The plane's end of the runner protocol, without any transport: requests come in, responses go out. See
 * packages/api/proto/atelier/v1/runner_link.proto for the rules.
 */
import {
  AtelierError,
  agreedVersion,
  runnerProtocolVersion,
  softwareVersion,
  toAtelierError,
  type Clock,
} from '@atelier/api';
import {
  PlaneWelcomeSchema,
  SyncResponseSchema,
  type DesiredChange,
  type RunnerHello,
  type SyncRequest,
  type SyncResponse,
} from '@atelier/api/atelier/runner_link';
import { RunnerKind, RunnerPhase } from '@atelier/api/gitpod/runner';
import { create } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { ChangeFeed } from '../change-feed.ts';
import type { PlaneContext } from '../context.ts';
import type { Principal } from '../identity/principal.ts';
import { AsyncQueue } from '../queue.ts';
import { partialDesired, wholeDesired } from './desired.ts';
import { applyObserved } from './observed.ts';

/** How long a runner may be silent before others take it for gone. */
const leaseMs = 60_000;
const heartbeatMs = 15_000;

/** The plane's end of the link. */
export interface RunnerLink {
  /** Serves one connection of a runner until either side ends it. */
  sync(
    requests: AsyncIterable<SyncRequest>,
    runner: Principal,
    signal: AbortSignal,
  ): AsyncIterable<SyncResponse>;
  /** Nobody is connected yet: called when the plane starts. */
  start(): Promise<void>;
}

/** Makes the link. A second connection of the same runner ends the first one. */
export function createRunnerLink(plane: PlaneContext, feed: ChangeFeed): RunnerLink {
  const current = new Map<string, AbortController>();

  async function* sync(
    requests: AsyncIterable<SyncRequest>,
    runner: Principal,
    signal: AbortSignal,
  ): AsyncIterable<SyncResponse> {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    const hello = first.done ? undefined : first.value.message;
    if (hello?.case !== 'hello')
      throw new AtelierError('invalid_argument', 'the first message must be hello');
    refuseStranger(plane, runner, hello.value);
    const controller = new AbortController();
    current.get(runner.id)?.abort();
    current.set(runner.id, controller);
    const end = (): void => controller.abort();
    signal.addEventListener('abort', end);
    try {
      const epoch = await nextEpoch(plane, runner.id);
      yield await welcome(plane, runner, hello.value, epoch);
      await writeConnected(plane, runner.id, hello.value);
      yield* serve(plane, feed, { runner, epoch, hello: hello.value, iterator, signal: controller.signal });
    } finally {
      signal.removeEventListener('abort', end);
      controller.abort();
      if (current.get(runner.id) === controller) {
        current.delete(runner.id);
        await writePhase(plane, runner.id, RunnerPhase.INACTIVE, 'the runner is not connected');
      }
    }
  }

  return {
    sync,
    async start() {
      for (let pageToken = ''; ;) {
        const page = await plane.store.list('runner', {
          attributes: { phase: ['ACTIVE'] },
          pageSize: 100,
          pageToken,
        });
        for (const row of page.rows) {
          await writePhase(plane, row.id, RunnerPhase.INACTIVE, 'the management plane has just started');
        }
        if (page.nextToken === '') return;
        pageToken = page.nextToken;
      }
    },
  };
}

interface Session {
  readonly runner: Principal;
  readonly epoch: bigint;
  readonly hello: RunnerHello;
  readonly iterator: AsyncIterator<SyncRequest>;
  readonly signal: AbortSignal;
}

async function* serve(plane: PlaneContext, feed: ChangeFeed, session: Session): AsyncIterable<SyncResponse> {
  const out = new AsyncQueue<SyncResponse>();
  const watcher = feed.watch({ kinds: ['environment', 'service', 'taskExecution'] });
  let timer = plane.clock.timer(heartbeatMs, beat);
  function beat(): void {
    out.push(create(SyncResponseSchema, { message: { case: 'heartbeat', value: {} } }));
    timer = plane.clock.timer(heartbeatMs, beat);
  }
  const finish = (): void => {
    watcher.close();
    out.end();
  };
  session.signal.addEventListener('abort', finish);
  const fail = (error: unknown): void => {
    plane.log('a runner was disconnected', { runnerId: session.runner.id, error: String(error) });
    finish();
  };
  const silence = watchSilence(plane.clock, () => fail('it was silent for longer than its lease'));
  void receive(plane, session, silence.heard).catch(fail).finally(finish);
  void send(plane, session, watcher, out).catch(fail).finally(finish);
  try {
    yield* out;
  } finally {
    timer.cancel();
    silence.cancel();
    session.signal.removeEventListener('abort', finish);
    finish();
    void session.iterator.return?.();
  }
}

/** Calls `onSilence` when `heard` was not called for the length of a lease. */
function watchSilence(clock: Clock, onSilence: () => void): { heard(): void; cancel(): void } {
  let timer = clock.timer(leaseMs, onSilence);
  return {
    heard() {
      timer.cancel();
      timer = clock.timer(leaseMs, onSilence);
    },
    cancel: () => timer.cancel(),
  };
}

/** Desired state, downwards: first what was missed, then every change. */
async function send(
  plane: PlaneContext,
  session: Session,
  watcher: ReturnType<ChangeFeed['watch']>,
  out: AsyncQueue<SyncResponse>,
): Promise<void> {
  const { store } = plane;
  const { runner, hello } = session;
  const sendDesired = (value: DesiredChange): void =>
    out.push(create(SyncResponseSchema, { message: { case: 'desired', value } }));
  let cursor = await sendMissed(plane, runner, hello.acknowledgedRevision, sendDesired);
  // Says that there is nothing to wait for: a runner that had lost its lease holds until then.
  out.push(create(SyncResponseSchema, { message: { case: 'heartbeat', value: {} } }));
  for (let batch = await watcher.next(); batch; batch = await watcher.next()) {
    const fresh = batch.filter((change) => (change.type === 'row' ? change.row : change).revision > cursor);
    const partial = await partialDesired(store, runner, fresh, cursor);
    for (const change of fresh) {
      const { revision } = change.type === 'row' ? change.row : change;
      if (revision > cursor) cursor = revision;
    }
    if (partial) sendDesired(partial);
  }
}

/** What changed since the revision in the runner's ledger, or everything; gives the revision it is at then. */
async function sendMissed(
  { store }: PlaneContext,
  runner: Principal,
  acknowledged: bigint,
  sendDesired: (value: DesiredChange) => void,
): Promise<bigint> {
  let cursor = acknowledged;
  for (;;) {
    const missed = cursor === 0n ? undefined : await store.changesSince(cursor, {});
    if (!missed || missed.resync) {
      const whole = await wholeDesired(store, runner.id);
      sendDesired(whole);
      return whole.revision;
    }
    if (missed.changes.length === 0) return missed.revision;
    const partial = await partialDesired(store, runner, missed.changes, cursor);
    if (partial) sendDesired(partial);
    cursor = missed.revision;
  }
}

/** Observed state, upwards. */
async function receive(plane: PlaneContext, session: Session, heard: () => void): Promise<void> {
  for (;;) {
    const next = await session.iterator.next();
    if (next.done || session.signal.aborted) return;
    heard();
    const { message } = next.value;
    if (message.case !== 'observed') continue;
    if (message.value.leaseEpoch !== session.epoch) continue;
    await applyObserved(plane, session.runner.id, message.value).catch((error: unknown) => {
      // The same report would be refused again after a reconnect: only what may pass by itself is worth one.
      if (toAtelierError(error).code === 'unavailable') throw error;
      const facts = { id: message.value.environmentId, error: String(error) };
      plane.log('a report about an environment could not be written', facts);
    });
  }
}

function refuseStranger(plane: PlaneContext, runner: Principal, hello: RunnerHello): void {
  if (hello.runnerId !== runner.id) {
    throw new AtelierError(
      'permission_denied',
      `the token is runner ${runner.id}'s, not runner ${hello.runnerId}'s`,
    );
  }
  if (hello.planeId !== '' && hello.planeId !== plane.planeId) {
    throw new AtelierError(
      'failed_precondition',
      `runner ${runner.id} belongs to plane ${hello.planeId}, this is plane ${plane.planeId}; its environments are not known here`,
    );
  }
  if (agreedVersion(runnerProtocolVersion, hello.protocolVersion) === undefined) {
    throw new AtelierError(
      'failed_precondition',
      `the runner ${hello.softwareVersion} speaks version ${hello.protocolVersion} of the runner protocol, this plane ${softwareVersion} version ${runnerProtocolVersion}: they may be one apart; update the older one`,
    );
  }
}

/** The next lease epoch of a runner, on disk before it is told. */
async function nextEpoch(plane: PlaneContext, runnerId: string): Promise<bigint> {
  const id = `lease-${runnerId}`;
  await plane.store.create('setting', { id, organizationId: '', idempotencyKey: id, value: { epoch: '0' } });
  const row = await plane.store.update('setting', id, (value) => ({
    epoch: String(BigInt(value['epoch'] ?? 0) + 1n),
  }));
  return BigInt(row.value['epoch'] ?? 0);
}

async function welcome(
  plane: PlaneContext,
  runner: Principal,
  hello: RunnerHello,
  epoch: bigint,
): Promise<SyncResponse> {
  const row = await plane.store.get('runner', runner.id);
  if (!row) throw new AtelierError('not_found', `runner ${runner.id} was deleted`);
  const value = create(PlaneWelcomeSchema, {
    protocolVersion: Math.min(runnerProtocolVersion, hello.protocolVersion),
    softwareVersion,
    planeId: plane.planeId,
    leaseEpoch: epoch,
    lease: durationFromMs(leaseMs),
    tokenPublicKey: plane.signingKey.publicDer,
    local: row.value.kind !== RunnerKind.REMOTE,
  });
  return create(SyncResponseSchema, { message: { case: 'welcome', value } });
}

async function writeConnected(plane: PlaneContext, runnerId: string, hello: RunnerHello): Promise<void> {
  await plane.store.update(
    'runner',
    runnerId,
    (runner) => {
      if (!runner.status) return undefined;
      runner.status.phase = RunnerPhase.ACTIVE;
      runner.status.message = '';
      runner.status.version = hello.softwareVersion;
      runner.status.capabilities = hello.capabilities;
      runner.status.additionalInfo = hello.conditions;
      runner.status.publicKey = hello.publicKey;
      runner.status.updatedAt = timestampFromMs(plane.clock.nowMs());
      return runner;
    },
    { statusOnly: true },
  );
}

async function writePhase(
  plane: PlaneContext,
  runnerId: string,
  phase: RunnerPhase,
  message: string,
): Promise<void> {
  const change = plane.store.update(
    'runner',
    runnerId,
    (runner) => {
      if (!runner.status) return undefined;
      runner.status.phase = phase;
      runner.status.message = message;
      runner.status.updatedAt = timestampFromMs(plane.clock.nowMs());
      return runner;
    },
    { statusOnly: true },
  );
  await change.catch((error: unknown) =>
    plane.log('a runner could not be marked', { runnerId, error: String(error) }),
  );
}
