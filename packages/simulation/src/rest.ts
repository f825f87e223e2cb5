/** The rules about the end: what must be true of a world that had its rest. */
import { isLasting } from '@atelier/api';
import { EnvironmentPhase } from '@atelier/api/gitpod/environment';
import type { World } from './world/world.ts';
import type { EnvironmentView } from './view.ts';

/** What a world at rest is judged by. */
export interface RestView {
  readonly world: World;
  readonly environments: ReadonlyMap<string, EnvironmentView>;
  /** Environments that users know. */
  readonly knownIds: ReadonlySet<string>;
  /** Ids in the runner's ledger. */
  readonly ledgerIds: readonly string[];
}

/** What is wrong with a world that should be at rest: a sentence and the environment that it is about. */
export function unrest({ world, environments, knownIds, ledgerIds }: RestView): [id: string, what: string][] {
  const found: [string, string][] = [];
  for (const { id, spec, status } of environments.values()) {
    if (!isLasting(status.phase)) found.push([id, `it is still ${EnvironmentPhase[status.phase]}`]);
    // A create that was answered twice, or never, has made one environment.
    if (!knownIds.has(id) && spec.desiredPhase !== EnvironmentPhase.DELETED)
      found.push([id, 'nobody made it']);
  }
  for (const id of ledgerIds) if (!environments.has(id)) found.push([id, 'the ledger has it still']);
  for (const kind of ['service', 'task', 'taskExecution'] as const) {
    for (const { environmentId, value } of world.database.ofKind(kind)) {
      if (value !== undefined && !environments.has(environmentId))
        found.push([environmentId, `it left a ${kind}`]);
    }
  }
  return found;
}
