/** The runner's side of the ways in: what the gateway asks about environments. */
import { AtelierError, type Clock } from '@atelier/api';
import { StepPhase } from '@atelier/api/atelier/environment_detail';
import { ServicePhase, TaskExecutionPhase } from '@atelier/api/gitpod/environment_automation';
import { stepNames } from '@atelier/reconcile';
import type { EnvironmentAccess } from '@atelier/gateway';
import type { EnvironmentPasses } from './environment-loop.ts';
import type { Logs } from './logs.ts';

/** The environments whose memory can be looked at. */
type KnownEnvironments = Pick<EnvironmentPasses, 'memoryOf'>;

/** What access is made of. */
export interface AccessOptions {
  readonly clock: Clock;
  readonly logs: Logs;
  readonly passes: KnownEnvironments;
  readonly wake: (environmentId: string) => void;
}

// A mark wakes the environment's pass, which need not happen for each keystroke.
const markIntervalMs = 10_000;

/** The access to the environments of a runner. */
export function environmentAccess({ clock, logs, passes, wake }: AccessOptions): EnvironmentAccess {
  return {
    transport: (environmentId) => passes.memoryOf(environmentId)?.client?.view()?.transport,
    log: (environmentId, name, { offset, follow, signal }) =>
      readLog(logs, environmentId, name, offset, signal, () => follow && isLive(passes, environmentId, name)),
    logNames: (environmentId) => logs.names(environmentId),
    markActive(environmentId) {
      const memory = passes.memoryOf(environmentId);
      if (memory === undefined) return;
      const nowMs = clock.nowMs();
      if (nowMs - memory.lastActiveMs < markIntervalMs) return;
      memory.lastActiveMs = nowMs;
      wake(environmentId);
    },
  };
}

async function* readLog(
  logs: Logs,
  environmentId: string,
  name: string,
  offset: number,
  signal: AbortSignal,
  live: () => boolean,
): AsyncGenerator<Uint8Array> {
  const known = (await logs.length(environmentId, name)) > 0;
  if (!known && !live()) {
    const names = await logs.names(environmentId);
    throw new AtelierError(
      'not_found',
      `Environment ${environmentId} has no log ${name}. It has ${names.length === 0 ? 'none yet' : names.join(', ')}.`,
    );
  }
  yield* logs.follow(environmentId, name, offset, live, signal);
}

/** Whether whatever writes the log has not ended. */
function isLive(passes: KnownEnvironments, environmentId: string, name: string): boolean {
  const memory = passes.memoryOf(environmentId);
  const [kind, id = '', part] = name.split('/');
  const step = stepNames.find((each) => kind === 'step' && each === id);
  if (step !== undefined) return memory?.steps.isRunning(step) ?? false;
  const status = memory?.client?.view()?.status;
  if (status === undefined) return false;
  if (kind === 'lifecycle') {
    const phase = status.lifecycle.findLast((each) => each.name === id)?.phase;
    return phase === StepPhase.PENDING || phase === StepPhase.RUNNING;
  }
  if (kind === 'service') {
    const phase = status.services.find(({ serviceId }) => serviceId === id)?.status?.phase;
    return [ServicePhase.STARTING, ServicePhase.RUNNING, ServicePhase.STOPPING].includes(
      phase ?? ServicePhase.UNSPECIFIED,
    );
  }
  const steps = status.executions.find(({ executionId }) => executionId === id)?.status?.steps;
  const phase = steps?.find((each) => each.id === part)?.phase;
  return phase === TaskExecutionPhase.PENDING || phase === TaskExecutionPhase.RUNNING;
}
