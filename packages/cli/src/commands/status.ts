/** `atelier status`: why an environment is in its phase, since when, until when, and what its start took. */
import { EnvironmentSchema, type Environment } from '@atelier/api/gitpod/environment';
import { EnvironmentAutomationService, type Service } from '@atelier/api/gitpod/environment_automation';
import {
  ActivityKind,
  StepPhase,
  type ActivityEntry,
  type StepStatus,
} from '@atelier/api/atelier/environment_detail';
import type { CommandContext, Format } from '../context.ts';
import { atMs, lengthMs, nameOf, phaseOf, servicePhaseOf, warningsOf } from '../environment-facts.ts';
import { findEnvironment } from '../environment-reference.ts';
import { formatDuration } from '../output/duration.ts';
import { formatMessage } from '../output/message.ts';
import { formatFacts, formatTable } from '../output/table.ts';

/** Prints what is known of one environment. */
export async function run(
  context: CommandContext,
  reference: string | undefined,
  options: { readonly output: Format },
): Promise<void> {
  const client = await context.connect();
  const environment = await findEnvironment(context, client, reference);
  if (options.output === 'json') return context.out(formatMessage(EnvironmentSchema, environment));
  const { services } = await client
    .service(EnvironmentAutomationService)
    .listServices({ pagination: { pageSize: 100 }, filter: { environmentIds: [environment.id] } });
  context.out(describeEnvironment(environment, services, context.system.clock.nowMs()));
}

/** What `status` prints for people; facts that have no value are left out. */
export function describeEnvironment(
  environment: Environment,
  services: readonly Service[],
  nowMs: number,
): string {
  const { id, metadata, status } = environment;
  const { detail, devcontainer } = status ?? {};
  const git = status?.content?.git;
  const facts: [string, string][] = [
    ['environment', nameOf(environment)],
    ['id', id],
    ['source', metadata?.originalContextUrl ?? ''],
    ['phase', phaseOf(environment)],
    ['why', detail?.reason ?? ''],
    ['since', ago(atMs(detail?.phaseSince), nowMs)],
    ['until', ahead(atMs(detail?.phaseDeadline), nowMs)],
    ['failure', status?.failureMessage.join('\n') ?? ''],
    ['dev container', devcontainer?.failureMessage ? `failed: ${devcontainer.failureMessage}` : ''],
    ['automations', status?.automationsFile?.failureMessage ?? ''],
    ['warnings', warningsOf(environment).join('\n')],
    ['active because', becauseOf(detail?.activeBecause ?? [], nowMs)],
    ['stops', stopOf(environment, nowMs)],
    ['branch', git?.branch ? `${git.branch}, ${git.totalChangedFiles} changed files` : ''],
    ['address', detail?.address ?? ''],
    ['forward ports', detail?.forwardPorts.join(', ') ?? ''],
  ];
  const parts = [
    formatFacts(facts.filter(([, value]) => value !== '')),
    stepTable(detail?.steps ?? [], nowMs),
    serviceTable(services),
    portTable(environment),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

const activityTexts: Record<ActivityKind, (name: string) => string> = {
  [ActivityKind.UNSPECIFIED]: (name) => `activity ${name}`,
  [ActivityKind.START]: () => 'it was started',
  [ActivityKind.CLIENT]: () => 'a client used it',
  [ActivityKind.MARK]: (name) => `marked as active by ${name}`,
  [ActivityKind.TERMINAL_INPUT]: (name) => `terminal ${name} had input`,
  [ActivityKind.TERMINAL_OUTPUT]: (name) => `terminal ${name} had output`,
  [ActivityKind.TASK]: (name) => `task ${name} has run`,
  [ActivityKind.EXECUTION]: (name) => `command ${name} has run`,
  [ActivityKind.KEEP_ALIVE]: (name) => `kept alive by ${name}`,
  [ActivityKind.CPU]: () => 'processes used the CPU',
  [ActivityKind.ENDED_WORK]: () => 'a task or command ended',
};

/** What holds an environment on, a line for each. */
function becauseOf(entries: readonly ActivityEntry[], nowMs: number): string {
  return entries
    .map(({ kind, name, since, lastAt }) => {
      // A daemon that is newer than this command may know more kinds.
      const text = (activityTexts[kind] ?? activityTexts[ActivityKind.UNSPECIFIED])(name);
      const lastAtMs = atMs(lastAt);
      if (lastAtMs !== undefined) return `${text} ${formatDuration(nowMs - lastAtMs)} ago`;
      const sinceMs = atMs(since);
      return sinceMs === undefined ? text : `${text} for ${formatDuration(nowMs - sinceMs)}`;
    })
    .join('\n');
}

/** When an environment that is on is stopped for want of activity. */
function stopOf({ spec, status }: Environment, nowMs: number): string {
  const { activeBecause = [], idleStopAt } = status?.detail ?? {};
  if (activeBecause.length === 0) return '';
  const timeoutMs = lengthMs(spec?.timeout?.disconnected) ?? 0;
  if (timeoutMs === 0) return 'never by itself';
  if (idleStopAt === undefined) return `${formatDuration(timeoutMs)} after the last activity`;
  return `${ahead(atMs(idleStopAt), nowMs)} if nothing happens`;
}

function stepTable(steps: readonly StepStatus[], nowMs: number): string {
  if (steps.length === 0) return '';
  const rows = steps.map((step) => {
    const startedAtMs = atMs(step.startedAt);
    const running =
      startedAtMs === undefined || step.phase !== StepPhase.RUNNING ? undefined : nowMs - startedAtMs;
    const tookMs = lengthMs(step.took) ?? running;
    const took = tookMs === undefined ? '' : formatDuration(tookMs);
    const attempt = step.attempt > 1 ? String(step.attempt) : '';
    return [step.name, StepPhase[step.phase].toLowerCase(), took, attempt, step.message];
  });
  return formatTable(['STEP', 'STATE', 'TOOK', 'ATTEMPT', 'MESSAGE'], rows);
}

/** Services with their state, as `status` and `service list` print them; empty without any. */
export function serviceTable(services: readonly Service[]): string {
  if (services.length === 0) return '';
  const rows = services
    .map((service) => [
      service.metadata?.reference ?? '',
      servicePhaseOf(service),
      service.metadata?.name ?? '',
      service.status?.failureMessage ?? '',
    ])
    .sort();
  return formatTable(['SERVICE', 'STATE', 'NAME', 'MESSAGE'], rows);
}

function portTable({ status }: Environment): string {
  const ports = status?.detail?.listeningPorts ?? [];
  if (ports.length === 0) return '';
  return formatTable(
    ['PORT', 'ADDRESS', 'PROCESS'],
    ports.map(({ port, address, processName }) => [String(port), address, processName]),
  );
}

function ago(timeMs: number | undefined, nowMs: number): string {
  return timeMs === undefined
    ? ''
    : `${new Date(timeMs).toISOString()} (${formatDuration(nowMs - timeMs)} ago)`;
}

function ahead(timeMs: number | undefined, nowMs: number): string {
  if (timeMs === undefined) return '';
  const distance = formatDuration(Math.abs(timeMs - nowMs));
  return `${new Date(timeMs).toISOString()} (${timeMs < nowMs ? `${distance} ago` : `in ${distance}`})`;
}
