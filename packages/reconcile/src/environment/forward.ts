/** The steps on the way to running, and what is kept in order once it runs. */
import type { StepNeed } from './backoff.ts';
import { wayBackToNoInstance } from './backward.ts';
import type { ReleaseTarget } from './model.ts';
import {
  configurationIsRead,
  contentIsMade,
  imageIsHere,
  isReady,
  mainIsInTheWay,
  rootIsMade,
  rootSessionWanted,
  supervisorIsApplied,
  usesBaseImage,
  type Situation,
} from './situation.ts';

/**
 * The steps whose prerequisites are there and that are not done. Content needs the network too, since it is
 * cloned over it. The image and the root layer of a rebuild are made while the old instance runs.
 */
export function forwardNeeds(situation: Situation): StepNeed[] {
  if (mainIsInTheWay(situation)) return wayBackToNoInstance(situation);
  return [...groundNeeds(situation), ...rootNeeds(situation), ...instanceNeeds(situation)];
}

function groundNeeds(situation: Situation): StepNeed[] {
  const { desired, observed } = situation;
  const session = desired.machineSession;
  const needs: StepNeed[] = [];
  if (observed.disk === undefined) needs.push({ step: 'disk', session });
  if (!observed.network) needs.push({ step: 'network', session });
  if (observed.disk !== undefined && observed.network && !contentIsMade(situation)) {
    needs.push({ step: 'content', session: desired.contentSession });
  }
  return needs;
}

function rootNeeds(situation: Situation): StepNeed[] {
  const { desired } = situation;
  const recovery = usesBaseImage(situation);
  const session = rootSessionWanted(situation);
  if (!configurationIsRead(situation)) {
    const ready = contentIsMade(situation);
    return ready ? [{ step: 'configuration', session: desired.devcontainerSession }] : [];
  }
  if (!imageIsHere(situation)) {
    return contentIsMade(situation) || recovery ? [{ step: 'image', session, recovery }] : [];
  }
  if (rootIsMade(situation) || situation.observed.disk === undefined) return [];
  return [{ step: 'root', session, recovery, generation: nextGeneration(situation) }];
}

/** A number that no root layer on the disk has, whoever made it. */
function nextGeneration({ observed, record }: Situation): number {
  return Math.max(record.generation, ...(observed.disk?.generations ?? [])) + 1;
}

/** Whether everything that an instance stands on is there, so that one can be started. */
export function instanceMayStart(situation: Situation): boolean {
  return (
    situation.observed.network &&
    contentIsMade(situation) &&
    configurationIsRead(situation) &&
    imageIsHere(situation) &&
    rootIsMade(situation)
  );
}

function instanceNeeds(situation: Situation): StepNeed[] {
  const { observed, record } = situation;
  const { boot, generation } = record;
  if (boot === undefined) return [];
  if (observed.main === undefined) {
    return instanceMayStart(situation) ? [{ step: 'instance', session: boot, generation }] : [];
  }
  const ready = isReady(situation);
  if (!ready && !rootIsMade(situation)) return [];
  const needs: StepNeed[] = [];
  if (!supervisorIsApplied(situation)) needs.push({ step: 'supervisor', session: boot });
  else if (!ready) needs.push({ step: 'lifecycle', session: boot });
  if (ready) needs.push(...leftoverNeeds(situation));
  return needs;
}

// The old root layer is the way back of a rebuild: it goes when the new instance is fully up, and not in recovery.
function leftoverNeeds({ observed, record }: Situation): StepNeed[] {
  const kept = [record.generation, record.soundGeneration];
  const others = (observed.disk?.generations ?? []).filter((each) => !kept.includes(each));
  const release = others.map((generation): ReleaseTarget => ({ kind: 'generation', generation }));
  return release.length === 0
    ? []
    : [{ step: 'release', session: `generation-${record.generation}`, release }];
}
