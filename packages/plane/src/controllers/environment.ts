/**
 * The plane's own part of an environment's life: it finds a runner, fires triggers, takes over a runner's
 * decision to stop, and removes what nobody has. One pass reads everything anew.
 */
import { createHash } from 'node:crypto';
import { sleep } from '@atelier/api';
import {
  EnvironmentPhase,
  EnvironmentSpec_MachineSchema,
  type Environment,
} from '@atelier/api/gitpod/environment';
import { ServicePhase } from '@atelier/api/gitpod/environment_automation';
import { RunnerPhase } from '@atelier/api/gitpod/runner';
import { Principal as PrincipalType, SubjectSchema } from '@atelier/api/gitpod/subject';
import { createLoop, planAutomations, planPlacement, type Outcome } from '@atelier/reconcile';
import type { Kind, Row, Store } from '@atelier/store';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { allRows } from '../all-rows.ts';
import { isStopped } from '../automations/records.ts';
import { desireRunning, rowsOf, startTask } from '../automations/start.ts';
import { closeWith, type ChangeFeed } from '../change-feed.ts';
import type { PlaneContext } from '../context.ts';
import { desire, setPhase, touchSpec } from '../environment/change.ts';

/** A controller that can be started. */
export interface Controller {
  start(): Promise<void>;
  stop(): Promise<void>;
}

const concurrency = 4;
const backoff = { initialMs: 500, maxMs: 30_000 };
/** Pause before everything is looked at anew, after changes were lost. */
const rewatchMs = 1000;
const watchedKinds: readonly Kind[] = [
  'environment',
  'service',
  'task',
  'taskExecution',
  'runner',
  'environmentClass',
];

/** Makes the controller. */
export function createEnvironmentController(plane: PlaneContext, feed: ChangeFeed): Controller {
  const { store, clock, random, log } = plane;
  const loop = createLoop({
    name: 'environments',
    reconcile: (id) => pass(plane, id),
    clock,
    random,
    concurrency,
    backoff,
    onOutcome({ key, outcome }) {
      if (outcome.kind === 'retry')
        log('an environment could not be looked after', { id: key, error: String(outcome.error) });
    },
  });
  const controller = new AbortController();

  /** Wakes everything, then what changes, until changes are lost or the controller stops. */
  async function watchOnce(): Promise<void> {
    const watcher = feed.watch({ kinds: watchedKinds });
    closeWith(watcher, controller.signal);
    loop.wakeAll((await allRows(store, 'environment')).map(({ id }) => id));
    for (let batch = await watcher.next(); batch; batch = await watcher.next()) {
      for (const change of batch) {
        const { kind, id, environmentId } = change.type === 'row' ? change.row : change;
        if (kind === 'environment') loop.wake(id);
        else if (environmentId !== '') loop.wake(environmentId);
        else loop.wakeAll(await unplaced(store));
      }
    }
  }

  async function watch(): Promise<void> {
    while (!controller.signal.aborted) {
      try {
        await watchOnce();
      } catch (error) {
        log('the controller of environments could not read; trying again', { error: String(error) });
      }
      await sleep(clock, rewatchMs, controller.signal);
    }
  }

  let watching: Promise<void> = Promise.resolve();
  return {
    async start() {
      watching = watch();
    },
    async stop() {
      controller.abort();
      await watching;
      await loop.stop();
    },
  };
}

async function pass(plane: PlaneContext, id: string): Promise<Outcome> {
  const row = await plane.store.get('environment', id);
  if (!row) return { kind: 'settled' };
  const { metadata, spec } = row.value;
  if ((metadata?.runnerId ?? '') === '') {
    if (spec?.desiredPhase !== EnvironmentPhase.DELETED) return place(plane, row);
    await plane.store.delete('environment', id);
    return { kind: 'settled' };
  }
  if (isIdleStop(row.value)) {
    await takeOverStop(plane, row);
    return { kind: 'settled' };
  }
  const services = await rowsOf(plane.store, 'service', id);
  await fireTriggers(plane, row, services);
  await removeStoppedServices(plane, services);
  return { kind: 'settled' };
}

/** Finds a runner and writes it down; while there is none, says why. */
async function place(plane: PlaneContext, row: Row<'environment'>): Promise<Outcome> {
  const { store, clock } = plane;
  const { organizationId } = row;
  const [runners, classes] = await Promise.all([
    allRows(store, 'runner', { organizationId }),
    allRows(store, 'environmentClass', { organizationId }),
  ]);
  const load = new Map(await Promise.all(runners.map(({ id }) => loadOf(store, id))));
  const plan = planPlacement(
    row.value,
    runners.map(({ value }) => ({ runner: value, connected: value.status?.phase === RunnerPhase.ACTIVE })),
    classes.map(({ value }) => value),
    load,
    clock.nowMs(),
  );
  if (plan.kind === 'placed') {
    await store.update('environment', row.id, (environment) => placed(environment, plan, clock.nowMs()));
    return { kind: 'settled' };
  }
  const explain = (environment: Environment) => explainWaiting(environment, plan, clock.nowMs());
  await store.update('environment', row.id, explain, { statusOnly: true });
  if (plan.kind === 'failed') return { kind: 'settled' };
  return { kind: 'again', afterMs: Math.max(1, plan.deadlineMs - clock.nowMs()) };
}

/** How many environments a runner has: counted, because reading them all for each one would take too long. */
async function loadOf(store: Store, runnerId: string): Promise<[string, number]> {
  const page = await store.list('environment', {
    attributes: { runnerId: [runnerId] },
    pageSize: 1,
    count: true,
  });
  return [runnerId, page.total ?? 0];
}

type Placed = Extract<ReturnType<typeof planPlacement>, { kind: 'placed' }>;

/** Writes the runner down; undefined when there is one already. */
function placed(environment: Environment, plan: Placed, nowMs: number): Environment | undefined {
  if (!environment.metadata || environment.metadata.runnerId !== '') return undefined;
  environment.metadata.runnerId = plan.runnerId;
  if (environment.spec) {
    environment.spec.machine ??= create(EnvironmentSpec_MachineSchema);
    environment.spec.machine.class = plan.environmentClassId;
  }
  if (environment.status) environment.status.failureMessage = [];
  touchSpec(environment, nowMs);
  return environment;
}

type Waiting = Exclude<ReturnType<typeof planPlacement>, Placed>;

/** Writes why there is no runner; undefined when it says so already. */
function explainWaiting(environment: Environment, plan: Waiting, nowMs: number): Environment | undefined {
  const { status } = environment;
  if (!status?.detail) return undefined;
  const reason = plan.kind === 'waiting' ? plan.reason : plan.failureMessage;
  const failureMessage = plan.kind === 'failed' ? [plan.failureMessage] : [];
  if (status.detail.reason === reason && status.failureMessage.join() === failureMessage.join())
    return undefined;
  status.detail.reason = reason;
  status.failureMessage = failureMessage;
  if (plan.kind === 'waiting') status.detail.phaseDeadline = timestampFromMs(plan.deadlineMs);
  else delete status.detail.phaseDeadline;
  setPhase(environment, nowMs);
  return environment;
}

/** The runner ends this very run for idleness; a start that was asked for since is another run. */
function isIdleStop({ spec, status }: Environment): boolean {
  const { timeout = '', session = '' } = status?.machine ?? {};
  return (
    timeout !== '' && spec?.desiredPhase === EnvironmentPhase.RUNNING && spec.machine?.session === session
  );
}

/** The runner has decided that the environment is idle: now the desired phase says so too. */
async function takeOverStop(plane: PlaneContext, row: Row<'environment'>): Promise<void> {
  await plane.store.update('environment', row.id, (environment) => {
    if (!isIdleStop(environment)) return undefined;
    return desire(environment, EnvironmentPhase.STOPPED, '', plane.clock.nowMs()) ? environment : undefined;
  });
}

async function fireTriggers(
  plane: PlaneContext,
  row: Row<'environment'>,
  services: readonly Row<'service'>[],
): Promise<void> {
  const { store } = plane;
  const { spec, status } = row.value;
  const started =
    status?.phase === EnvironmentPhase.RUNNING && spec?.desiredPhase === EnvironmentPhase.RUNNING;
  // Nothing is triggered before, and a start changes its status a dozen times on the way there.
  if (!started) return;
  const [tasks, executions] = await Promise.all([
    rowsOf(store, 'task', row.id),
    rowsOf(store, 'taskExecution', row.id),
  ]);
  const facts = {
    started,
    boot: status?.detail?.boot ?? '',
    devcontainerSession: status?.devcontainer?.session ?? '',
    triggerFilter: spec?.automationsFile?.triggerFilter ?? [],
  };
  const plan = planAutomations(
    facts,
    services.map(({ value }) => value),
    tasks.map(({ value }) => value),
    executions.map(({ value }) => value),
  );
  for (const { serviceId, session } of plan.serviceStarts) {
    await store.update('service', serviceId, (service) =>
      desireRunning(service, session) ? service : undefined,
    );
  }
  for (const serviceId of plan.serviceStops) {
    await store.update('service', serviceId, (service) => {
      if (!service.spec || service.spec.desiredPhase !== ServicePhase.RUNNING) return undefined;
      service.spec.desiredPhase = ServicePhase.STOPPED;
      service.spec.specVersion += 1n;
      return service;
    });
  }
  const creator = create(SubjectSchema, { id: row.id, principal: PrincipalType.ENVIRONMENT });
  for (const { taskId, name, startedBy } of plan.executions) {
    const task = tasks.find(({ id }) => id === taskId);
    if (task) await startTask(plane, task.value, { id: idFromName(plane, name), creator, startedBy });
  }
}

/** An id that is the same for the same name: its time is the name's own, so that a repetition changes nothing. */
function idFromName(plane: PlaneContext, name: string): string {
  const hash = createHash('sha256').update(`${plane.planeId}/${name}`).digest('hex');
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-a${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}

/** Takes deleted services away that have stopped; a trigger never touches one that is to be deleted. */
async function removeStoppedServices(
  plane: PlaneContext,
  services: readonly Row<'service'>[],
): Promise<void> {
  for (const { id, value } of services) {
    if (value.spec?.desiredPhase === ServicePhase.DELETED && isStopped(value))
      await plane.store.delete('service', id);
  }
}

async function unplaced(store: Store): Promise<string[]> {
  return (await allRows(store, 'environment', { attributes: { runnerId: [''] } })).map(({ id }) => id);
}
