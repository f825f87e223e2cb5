/** Which limits hold for an instance: policy is enforced or refused, never left out in silence. */
import { AtelierError } from '@atelier/api';
import type { DesiredEnvironment } from '@atelier/api/atelier/runner_link';
import type { InstanceLimits } from '@atelier/driver';
import type { RunnerParts } from './environment.ts';
import { limitsOf } from './inside.ts';

/**
 * The limits of an environment's main instance: those of its class, and the runner's own where the class says
 * nothing and this machine can enforce them. Errors: `failed_precondition` for a limit of the class that this
 * machine cannot enforce.
 */
export function mainLimits(
  parts: Pick<RunnerParts, 'driver' | 'settings'>,
  desired: DesiredEnvironment,
): InstanceLimits {
  const limits = limitsOf(desired, enforceable(parts, parts.settings.limits));
  const refused = Object.values(parts.driver.instances.unenforceable(limits));
  if (refused.length === 0) return limits;
  const { displayName = '', id = '' } = desired.environmentClass ?? {};
  throw new AtelierError(
    'failed_precondition',
    `the environment class ${displayName || id} cannot be had on this machine: ${refused.join('; ')}`,
  );
}

/** The limits of throw-away instances, which are the runner's own: those that this machine can enforce. */
export function throwawayLimits(parts: Pick<RunnerParts, 'driver' | 'settings'>): InstanceLimits {
  return enforceable(parts, parts.settings.throwawayLimits);
}

function enforceable({ driver }: Pick<RunnerParts, 'driver'>, limits: InstanceLimits): InstanceLimits {
  const refused = driver.instances.unenforceable(limits);
  return Object.fromEntries(Object.entries(limits).filter(([limit]) => !(limit in refused)));
}
