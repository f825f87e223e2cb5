/** An environment's status as the plane and its clients see it, from one pass's plan and what was found. */
import { isLasting, phase } from '@atelier/api';
import {
  ActivityKind,
  EnvironmentDetailSchema,
  StepPhase,
  StepStatusSchema,
  type EnvironmentDetail,
  type StepStatus,
} from '@atelier/api/atelier/environment_detail';
import {
  ObservedAutomationsFileSchema,
  ObservedEnvironmentSchema,
  type DesiredEnvironment,
  type ObservedAutomationsFile,
  type ObservedEnvironment,
} from '@atelier/api/atelier/runner_link';
import type { AutomationsFileStatus, SupervisorStatus } from '@atelier/api/atelier/supervisor';
import {
  EnvironmentActivitySignalSchema,
  EnvironmentStatus_AutomationsFile_Presence as FilePresence,
  EnvironmentStatus_AutomationsFileSchema,
  EnvironmentStatus_ContentPhase as ContentPhase,
  EnvironmentStatus_DevContainer_Presence as Presence,
  EnvironmentStatus_EnvironmentURLsSchema,
  EnvironmentStatus_Machine_VersionsSchema,
  EnvironmentStatus_RunnerACK_StatusCode as AckCode,
  EnvironmentStatus_RunnerACKSchema,
  EnvironmentStatusSchema,
  type EnvironmentPhase,
  type EnvironmentStatus,
  type EnvironmentStatus_EnvironmentURLs,
  type EnvironmentStatus_RunnerACK,
} from '@atelier/api/gitpod/environment';
import { statusOf, type EnvironmentDesired, type EnvironmentPlan } from '@atelier/reconcile';
import { clone, create } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { ownSignalSources, type IdleLook } from './idleness.ts';
import type { Observation } from './observation.ts';
import { noteOnVersion } from './supervisor-client/other-version.ts';
import type { StepTiming } from './running-steps.ts';

/** Entries of `activeBecause` that are told: a list for people, and a row in a database. */
const activeBecauseMax = 20;

/** What a status is made of beside the observation. */
export interface StatusFacts {
  readonly desired: DesiredEnvironment;
  readonly wish: EnvironmentDesired;
  readonly plan: EnvironmentPlan;
  readonly observation: Observation;
  readonly timings: readonly StepTiming[];
  /** The phase of the last status and since when it holds. */
  readonly before: { readonly name: EnvironmentPhase; readonly sinceMs: number } | undefined;
  readonly nowMs: number;
  /** Base URL of this runner's gateway, empty while there is none. */
  readonly gatewayUrl: string;
  /** When a client used the environment; 0 for never. */
  readonly lastActiveMs: number;
  /** Why the environment is not idle. */
  readonly idleLook: IdleLook;
  /** What is wrong with what the supervisor sends, empty when nothing is. */
  readonly supervisorWarning: string;
  /** Why the spec cannot be carried out as it is, empty when it can. */
  readonly invalid: string;
}

/** The status of an environment: what the plan decides, and what only the runner knows. */
export function environmentStatus(facts: StatusFacts): EnvironmentStatus {
  const { plan, observation, wish, gatewayUrl } = facts;
  const status = statusOf(wish, observation.observed, plan);
  addMachine(status, facts);
  addContent(status, facts);
  addDevContainer(status, facts);
  status.runnerAck = acknowledgement(facts);
  status.automationsFile = automationsFile(facts);
  status.activitySignal = activity(facts);
  if (gatewayUrl !== '') status.environmentUrls = urls(facts, wish.environmentId);
  status.warningMessage = warnings(facts);
  status.detail = detail(facts, status.phase);
  return status;
}

function acknowledgement({ desired, invalid }: StatusFacts): EnvironmentStatus_RunnerACK {
  return create(EnvironmentStatus_RunnerACKSchema, {
    specVersion: desired.environment?.spec?.specVersion ?? 0n,
    statusCode: invalid === '' ? AckCode.OK : AckCode.INVALID_RESOURCE,
    message: invalid,
  });
}

function addMachine(status: EnvironmentStatus, { observation, supervisorWarning }: StatusFacts): void {
  const { machine } = status;
  if (machine === undefined) return;
  const record = observation.observed.record;
  machine.timeout = record.idleStop?.reason ?? '';
  machine.failureMessage = record.failure?.message ?? '';
  const { view } = observation;
  const note = view === undefined ? '' : noteOnVersion(view.softwareVersion);
  machine.warningMessage = [supervisorWarning, note].filter((text) => text !== '').join('\n');
  machine.versions = create(EnvironmentStatus_Machine_VersionsSchema, {
    supervisorVersion: view?.softwareVersion ?? '',
  });
}

function addContent(status: EnvironmentStatus, { observation }: StatusFacts): void {
  const { content } = status;
  if (content === undefined) return;
  content.git = observation.view?.status?.git;
  content.contentLocationInMachine = observation.loaded.inside.mountTarget;
}

function addDevContainer(status: EnvironmentStatus, { observation, wish }: StatusFacts): void {
  const { devcontainer } = status;
  if (devcontainer === undefined) return;
  const { loaded, observed, view } = observation;
  const presences = {
    generated: Presence.GENERATED,
    discovered: Presence.DISCOVERED,
    specified: Presence.SPECIFIED,
  };
  devcontainer.devcontainerFilePath = loaded.read.path;
  devcontainer.devcontainerFilePresence = presences[loaded.read.presence];
  devcontainer.devcontainerconfigInSync = observed.record.rootSession === wish.devcontainerSession;
  devcontainer.secretsInSync = true;
  devcontainer.remoteUser = loaded.inside.user;
  devcontainer.remoteWorkspaceFolder = loaded.inside.workspaceFolder;
  devcontainer.containerName = observed.main?.name ?? '';
  devcontainer.containerId = observed.main?.name ?? '';
  // A user who is not there is the reason of a recovery already.
  devcontainer.warningMessage = [...loaded.inside.warnings, view?.status?.userFailure ?? '']
    .filter((warning) => warning !== '' && !devcontainer.failureMessage.startsWith(warning))
    .join('\n');
}

function automationsFile({ observation, desired }: StatusFacts): EnvironmentStatus['automationsFile'] {
  const file = observation.view?.status?.automationsFile;
  if (file === undefined) return undefined;
  const specified = (desired.environment?.spec?.automationsFile?.automationsFilePath ?? '') !== '';
  const failed = file.failureMessage !== '';
  const present = specified ? FilePresence.SPECIFIED : FilePresence.DISCOVERED;
  return create(EnvironmentStatus_AutomationsFileSchema, {
    session: file.session,
    automationsFilePath: file.path,
    phase: failed ? ContentPhase.FAILED : ContentPhase.READY,
    failureMessage: file.failureMessage,
    automationsFilePresence: file.path === '' ? FilePresence.ABSENT : present,
    warningMessage: file.warnings.join('\n'),
  });
}

/** What somebody does, unlike what goes on by itself. */
const actKinds = new Set([ActivityKind.CLIENT, ActivityKind.TERMINAL_INPUT]);

function activity({ observation, lastActiveMs }: StatusFacts): EnvironmentStatus['activitySignal'] {
  const times = (observation.view?.status?.activity?.entries ?? []).flatMap(({ kind, lastAt }) =>
    lastAt !== undefined && actKinds.has(kind) ? [timestampMs(lastAt)] : [],
  );
  const inputMs = Math.max(0, ...times);
  const latestMs = Math.max(inputMs, lastActiveMs);
  if (latestMs === 0) return undefined;
  const source = inputMs > lastActiveMs ? ownSignalSources.inside : ownSignalSources.client;
  return create(EnvironmentActivitySignalSchema, { source, timestamp: timestampFromMs(latestMs) });
}

/** What the gateway serves; it has no URLs for ports yet. */
function urls({ gatewayUrl }: StatusFacts, environmentId: string): EnvironmentStatus_EnvironmentURLs {
  const base = `${gatewayUrl}/environments/${environmentId}`;
  return create(EnvironmentStatus_EnvironmentURLsSchema, { ops: base, logs: `${base}/logs` });
}

function warnings({ supervisorWarning, observation }: StatusFacts): string[] {
  const { record } = observation.observed;
  const all = [
    supervisorWarning,
    record.falls === undefined ? '' : `The instance ${record.falls.end} and was started again.`,
  ];
  return all.filter((warning) => warning !== '');
}

function detail(facts: StatusFacts, phaseNow: EnvironmentPhase): EnvironmentDetail {
  const { plan, observation, before, nowMs, idleLook, timings } = facts;
  const { deadlineMs } = plan;
  const { record } = observation.observed;
  const same = before?.name === phaseNow;
  return create(EnvironmentDetailSchema, {
    phaseSince: timestampFromMs(same ? before.sinceMs : before === undefined ? record.goalSinceMs : nowMs),
    ...(deadlineMs === undefined || isLasting(phaseNow)
      ? {}
      : { phaseDeadline: timestampFromMs(deadlineMs) }),
    reason: plan.reason,
    steps: [...timings.map(stepStatus), ...lifecycleSteps(observation.view?.status)],
    activeBecause: idleLook.activeBecause.slice(0, activeBecauseMax),
    ...(idleLook.idleStopAtMs === undefined ? {} : { idleStopAt: timestampFromMs(idleLook.idleStopAtMs) }),
    boot: record.boot ?? '',
    address: observation.network?.address ?? '',
    listeningPorts: observation.view?.status?.ports ?? [],
    forwardPorts: [...observation.loaded.inside.forwardPorts],
  });
}

const stepPhases = {
  running: StepPhase.RUNNING,
  succeeded: StepPhase.SUCCEEDED,
  failed: StepPhase.FAILED,
};

function stepStatus(timing: StepTiming): StepStatus {
  const running = timing.state === 'running';
  return create(StepStatusSchema, {
    name: timing.step,
    phase: stepPhases[timing.state],
    startedAt: timestampFromMs(timing.startedAtMs),
    ...(running ? { deadline: timestampFromMs(timing.deadlineMs) } : { took: durationFromMs(timing.tookMs) }),
    message: timing.message,
    attempt: timing.attempt,
  });
}

function lifecycleSteps(status: SupervisorStatus | undefined): StepStatus[] {
  return (status?.lifecycle ?? []).map((each) => {
    const step = create(StepStatusSchema, {
      name: `lifecycle/${each.name}`,
      message: each.message,
      attempt: 1,
    });
    return Object.assign(step, { phase: each.phase, startedAt: each.startedAt, took: each.took });
  });
}

/** The status of an environment that cannot be looked at: what was last known, and why. */
export function blockedStatus(
  desired: DesiredEnvironment,
  before: EnvironmentStatus | undefined,
  reason: string,
): EnvironmentStatus {
  const status =
    before === undefined ? create(EnvironmentStatusSchema) : clone(EnvironmentStatusSchema, before);
  status.phase = phase(desired.environment?.spec, status);
  status.warningMessage = [reason];
  return status;
}

/** Everything the plane is told about an environment. Reports on what is not desired here are left out. */
export function observedEnvironment(facts: StatusFacts, status: EnvironmentStatus): ObservedEnvironment {
  const { desired, gatewayUrl } = facts;
  const { environmentId } = facts.wish;
  const supervisor = facts.observation.view?.status;
  const logs = `${gatewayUrl}/environments/${environmentId}/logs`;
  const services = new Set(desired.services.map(({ id }) => id));
  const executions = new Map(desired.executions.map((execution) => [execution.id, execution]));
  const file = supervisor?.automationsFile;
  const hasFile = file !== undefined && file.failureMessage === '' && file.session !== '';
  return create(ObservedEnvironmentSchema, {
    environmentId,
    status,
    gone: facts.plan.machine === 'deleted' && facts.plan.settled,
    services: (supervisor?.services ?? [])
      .filter(({ serviceId }) => services.has(serviceId))
      .map(({ serviceId, status: service }) => ({
        serviceId,
        ...(service && { status: { ...service, logUrl: `${logs}/service/${serviceId}` } }),
      })),
    executions: (supervisor?.executions ?? [])
      .filter(({ executionId }) => executions.has(executionId))
      .map(({ executionId, status: execution }) => ({
        executionId,
        ...(execution && {
          status: { ...execution, logUrl: `${logs}/task/${executionId}/${lastStep(execution.steps)}` },
        }),
      })),
    ...(hasFile ? { automationsFile: reported(file) } : {}),
  });
}

function reported({ session, file }: AutomationsFileStatus): ObservedAutomationsFile {
  const observed = create(ObservedAutomationsFileSchema, { session });
  observed.file = file;
  return observed;
}

// The plan's last step is the task that was asked for; the others are what it depends on.
function lastStep(steps: readonly { readonly id: string }[]): string {
  return steps.at(-1)?.id ?? '';
}
