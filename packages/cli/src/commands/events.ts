/** `atelier events`: what changes, as it changes, until Ctrl-C. */
import { EnvironmentSchema } from '@atelier/api/gitpod/environment';
import { ServiceSchema, TaskExecutionSchema, TaskSchema } from '@atelier/api/gitpod/environment_automation';
import { ResourceType } from '@atelier/api/gitpod/event';
import { RunnerPhase, RunnerSchema } from '@atelier/api/gitpod/runner';
import { toJson, type JsonValue } from '@bufbuild/protobuf';
import type { ResourceChange } from '@atelier/sdk';
import type { CommandContext, Format } from '../context.ts';
import { ownEnding } from '../ending.ts';
import { executionPhaseOf, nameOf, phaseOf, servicePhaseOf } from '../environment-facts.ts';
import { findEnvironment } from '../environment-reference.ts';

/** Runs the command: one line per change of anything, or of one environment and what is in it. */
export async function run(
  context: CommandContext,
  reference: string | undefined,
  options: { readonly output: Format },
): Promise<number> {
  const client = await context.connect();
  const environment = reference === undefined ? undefined : await findEnvironment(context, client, reference);
  const ending = ownEnding(context.system);
  let known = false;
  try {
    const changes = client.environments.watch({
      ...(environment && { environmentId: environment.id }),
      signal: ending.signal,
      onConnection: (lost) =>
        context.note(lost ? 'the daemon is away: waiting for it' : 'the daemon is back'),
    });
    for await (const change of changes) {
      if (change.case === 'snapshotEnd') {
        if (!known) context.note('watching; Ctrl-C ends it');
        known = true;
      } else if (known) context.out(lineOf(change, context.system.clock.nowMs(), options.output));
    }
    return 0;
  } finally {
    ending.dispose();
  }
}

type Change = Exclude<ResourceChange, { case: 'snapshotEnd' }>;

/** One change as one line: of JSON with the whole resource, or of words. */
export function lineOf(change: Change, nowMs: number, format: Format): string {
  const time = new Date(nowMs).toISOString();
  if (format === 'json') return `${JSON.stringify({ time, [change.case]: jsonOf(change) })}\n`;
  const [what, name, state] = wordsOf(change);
  return `${time}  ${what.padEnd(11)}  ${name}  ${state}`.trimEnd() + '\n';
}

function jsonOf(change: Change): JsonValue {
  switch (change.case) {
    case 'environment':
      return toJson(EnvironmentSchema, change.value);
    case 'service':
      return toJson(ServiceSchema, change.value);
    case 'task':
      return toJson(TaskSchema, change.value);
    case 'taskExecution':
      return toJson(TaskExecutionSchema, change.value);
    case 'runner':
      return toJson(RunnerSchema, change.value);
    case 'deleted':
      return { resourceType: ResourceType[change.value.resourceType], resourceId: change.value.resourceId };
  }
}

function wordsOf(change: Change): [what: string, name: string, state: string] {
  switch (change.case) {
    case 'environment': {
      const reason = change.value.status?.detail?.reason;
      return ['environment', nameOf(change.value), `${phaseOf(change.value)}${reason ? `: ${reason}` : ''}`];
    }
    case 'service':
      return ['service', change.value.metadata?.reference ?? change.value.id, servicePhaseOf(change.value)];
    case 'task':
      return ['task', change.value.metadata?.reference ?? change.value.id, ''];
    case 'taskExecution':
      return ['execution', change.value.id, executionPhaseOf(change.value)];
    case 'runner': {
      const phase = RunnerPhase[change.value.status?.phase ?? RunnerPhase.UNSPECIFIED].toLowerCase();
      return ['runner', change.value.name || change.value.runnerId, phase];
    }
    case 'deleted': {
      const type = ResourceType[change.value.resourceType].toLowerCase();
      return [type, change.value.resourceId, 'deleted'];
    }
  }
}
