/**
 * What an environment is like inside: folders, users, variables and commands, from its spec, the
 * configuration that was read and the image. Pure, and computed anew whenever it is needed.
 */
import type { DesiredEnvironment } from '@atelier/api/atelier/runner_link';
import {
  SupervisorSpecSchema,
  type SupervisorSpec,
  type SupervisorStatus,
} from '@atelier/api/atelier/supervisor';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import type { Environment } from '@atelier/api/gitpod/environment';
import {
  containerEnvironment,
  planLifecycle,
  planPorts,
  planWorkspace,
  remoteEnvironment,
  resolveUsers,
  substitute,
  type DevContainerConfiguration,
  type LifecycleStep,
  type WorkspacePlan,
} from '@atelier/devcontainer';
import type { ImageConfiguration, InstanceLimits } from '@atelier/driver';
import type { EnvironmentObserved, EnvironmentRecord } from '@atelier/reconcile';
import { create } from '@bufbuild/protobuf';
import type { ReadConfiguration } from './configuration.ts';
import { placedFolder, repositoryFolder, type WorkspacePlace } from './content/source.ts';
import { substitutionOf } from './substitution.ts';

/** What an environment is like inside. */
export interface Inside {
  readonly mountTarget: string;
  readonly workspaceFolder: string;
  /** Whom commands, terminals and editors run as. */
  readonly user: string;
  /** Variables of every process in it: those of the image and `containerEnv`. */
  readonly containerVariables: Readonly<Record<string, string>>;
  /** Variables of commands, terminals, services and editors: `remoteEnv` on top of those of every process. */
  readonly userVariables: Readonly<Record<string, string>>;
  /** The ports that the configuration wants to be forwarded, each once. */
  readonly forwardPorts: readonly number[];
  /** What runs inside, in its order. */
  readonly lifecycle: readonly LifecycleStep[];
  readonly warnings: readonly string[];
}

/** Describes the inside of the environment `environmentId`, whose repository stands at `place`. */
export function insideOf(
  read: ReadConfiguration,
  image: ImageConfiguration | undefined,
  place: WorkspacePlace,
  environmentId: string,
): Inside {
  const context = substitutionOf(environmentId, place);
  const asked = placedConfiguration(read.configuration, place);
  const imageVariables = Object.fromEntries((image?.environment ?? []).map(splitVariable));
  const first = substitute(asked, context);
  const container = containerEnvironment(first.configuration, imageVariables);
  const { configuration, warnings } = substitute(asked, { ...context, containerEnv: container });
  const workspace = planWorkspace(configuration, context.localWorkspaceFolder);
  const { ports: forwardPorts, warnings: portWarnings } = planPorts(configuration);
  const containerVariables = containerEnvironment(configuration, imageVariables);
  return {
    mountTarget: mountTargetOf(workspace, place),
    workspaceFolder: workspace.folder,
    user: resolveUsers(configuration, image?.user).remoteUser,
    containerVariables,
    userVariables: remoteEnvironment(configuration, containerVariables),
    forwardPorts,
    lifecycle: planLifecycle(configuration, { firstStart: true }).steps.filter(
      ({ runsIn }) => runsIn === 'environment',
    ),
    warnings: [...read.warnings, ...warnings, ...workspace.warnings, ...portWarnings],
  };
}

/** Of a folder in a repository the whole repository is mounted, and work begins in the folder. */
function placedConfiguration(
  configuration: DevContainerConfiguration,
  place: WorkspacePlace,
): DevContainerConfiguration {
  if (place.subfolder === '') return configuration;
  return { workspaceFolder: placedFolder(place), ...configuration };
}

function mountTargetOf(workspace: WorkspacePlan, place: WorkspacePlace): string {
  if (place.subfolder !== '') return repositoryFolder(place);
  return workspace.mountSubfolder === '.' ? workspace.mountTarget : placedFolder(place);
}

function splitVariable(text: string): [string, string] {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}

/** The session under which a life-cycle command runs once: the dev container's, or the present boot. */
function sessionOf(step: LifecycleStep, record: EnvironmentRecord): string {
  return step.once === 'session' ? (record.rootSession ?? '') : (record.boot ?? '');
}

/** Whether a command that runs once per dev container did so in an earlier boot than the present one. */
function isDoneBefore(step: LifecycleStep, record: EnvironmentRecord): boolean {
  const { lifecycleDone } = record;
  if (step.once !== 'session' || lifecycleDone?.session !== record.rootSession) return false;
  const boot = lifecycleDone?.boots[step.name];
  return boot !== undefined && boot !== record.boot;
}

/**
 * What the record says about commands that run once per dev container, with those that the supervisor now
 * reports to have succeeded; the record's own value when there is nothing new.
 */
export function lifecycleDoneOf(
  inside: Inside,
  record: EnvironmentRecord,
  status: SupervisorStatus | undefined,
): EnvironmentRecord['lifecycleDone'] {
  const { boot, rootSession: session } = record;
  if (boot === undefined || session === undefined) return record.lifecycleDone;
  const known = record.lifecycleDone?.session === session ? record.lifecycleDone.boots : {};
  const fresh = inside.lifecycle.filter(
    (step) =>
      step.once === 'session' &&
      known[step.name] === undefined &&
      status?.lifecycle.some(
        (report) =>
          report.name === step.name && report.session === session && report.phase === StepPhase.SUCCEEDED,
      ),
  );
  if (fresh.length === 0) return record.lifecycleDone;
  return { session, boots: { ...known, ...Object.fromEntries(fresh.map(({ name }) => [name, boot])) } };
}

/** The whole desired state of an environment's supervisor; its revision is the client's to set. */
export function supervisorSpecOf(
  desired: DesiredEnvironment,
  inside: Inside,
  record: EnvironmentRecord,
): SupervisorSpec {
  const { environment, services, executions } = desired;
  const spec = environment?.spec;
  return create(SupervisorSpecSchema, {
    environmentId: environment?.id ?? '',
    user: inside.user,
    workspaceFolder: inside.workspaceFolder,
    environment: { ...inside.userVariables },
    lifecycle: inside.lifecycle
      .filter((step) => !isDoneBefore(step, record))
      .map((step) => ({
        name: step.name,
        session: sessionOf(step, record),
        entries: step.parallel.map(({ label, argv }) => ({
          label: label === step.name ? '' : label,
          arguments: argv,
        })),
      })),
    automationsFilePath: spec?.automationsFile?.automationsFilePath ?? '',
    automationsSession: spec?.automationsFile?.session ?? '',
    services,
    executions,
    // Another user after a rebuild has to own the workspace as well.
    ownershipSession: ownershipSessionOf(inside, record),
    git: (spec?.content?.initializer?.specs.length ?? 0) > 0,
  });
}

function ownershipSessionOf(inside: Inside, record: EnvironmentRecord): string {
  return `${record.contentSession ?? ''}:${inside.user}`;
}

type LifecycleFacts = Pick<NonNullable<EnvironmentObserved['supervisor']>, 'lifecycle' | 'lifecycleMessage'>;

/** What the commands that have to be waited for are doing, as the supervisor reports it. */
export function lifecycleFacts(
  inside: Inside,
  record: EnvironmentRecord,
  status: SupervisorStatus | undefined,
): LifecycleFacts {
  const lifecycleMessage = userFailureOf(inside, record, status);
  if (lifecycleMessage !== undefined) return { lifecycle: 'failed', lifecycleMessage };
  const awaited = inside.lifecycle.filter((step) => step.awaited && !isDoneBefore(step, record));
  if (awaited.length === 0) return { lifecycle: 'none' };
  for (const step of awaited) {
    const report = status?.lifecycle.find(
      ({ name, session }) => name === step.name && session === sessionOf(step, record),
    );
    switch (report?.phase) {
      case StepPhase.SUCCEEDED:
      case StepPhase.SKIPPED:
        continue;
      case StepPhase.FAILED: {
        const said = report.message === '' ? '' : ` ${report.message}`;
        return {
          lifecycle: 'failed',
          lifecycleMessage: `${step.name} failed with exit code ${report.exitCode}.${said} Its output is in the log lifecycle/${step.name}.`,
        };
      }
      default:
        return { lifecycle: 'running' };
    }
  }
  return { lifecycle: 'succeeded' };
}

/** Why nothing can run as the user in the workspace; that it could not be given to the user is a warning only. */
function userFailureOf(
  inside: Inside,
  record: EnvironmentRecord,
  status: SupervisorStatus | undefined,
): string | undefined {
  const failure = status?.userFailure ?? '';
  if (failure === '' || status?.ownershipSession === ownershipSessionOf(inside, record)) return undefined;
  const { mountTarget, workspaceFolder } = inside;
  const isInRepository = workspaceFolder === mountTarget || workspaceFolder.startsWith(`${mountTarget}/`);
  return isInRepository ? failure : `${failure} The repository is in ${mountTarget}.`;
}

/** The environment's name as a host name: lower case letters, digits and dashes. */
export function hostnameOf(environment: Environment | undefined): string {
  const name = (environment?.metadata?.name ?? '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63)
    .replace(/-+$/, '');
  return name === '' ? 'environment' : name;
}

/** The limits of an environment class, each a whole number within its bounds or the runner's default. */
export function limitsOf(desired: DesiredEnvironment, defaults: InstanceLimits): InstanceLimits {
  const values = new Map(
    (desired.environmentClass?.configuration ?? []).map(({ key, value }) => [key, value]),
  );
  const read = (key: string, minimum: number, maximum: number): number | undefined => {
    const text = values.get(key) ?? '';
    if (!/^\d{1,15}$/.test(text)) return undefined;
    return Math.min(maximum, Math.max(minimum, Number(text)));
  };
  const mebibytes = read('memoryMib', 64, 1 << 24);
  return {
    cpuWeight: read('cpuWeight', 1, 10_000) ?? defaults.cpuWeight,
    memoryBytesMax:
      read('memoryBytesMax', 64 << 20, 2 ** 44) ??
      (mebibytes === undefined ? defaults.memoryBytesMax : mebibytes * 1024 * 1024),
    processesMax: read('processesMax', 64, 1_000_000) ?? defaults.processesMax,
  };
}
