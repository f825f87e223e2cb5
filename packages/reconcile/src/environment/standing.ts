/** Where machine, content and dev container of an environment stand in its present situation. */
import type { StepNeed } from './backoff.ts';
import { stepsEnding } from './backward.ts';
import type { EnvironmentPlan } from './model.ts';
import {
  contentIsMade,
  isInRecovery,
  isReady,
  isUpdating,
  mainIsInTheWay,
  type Situation,
  type Way,
} from './situation.ts';

/** The three parts of a plan from which the status is made. */
export type Standing = Pick<EnvironmentPlan, 'machine' | 'content' | 'devcontainer'>;

/** Says where the parts stand; `needs` are the steps that are still to be made. */
export function standingOf(situation: Situation, way: Way, needs: readonly StepNeed[]): Standing {
  if (way === 'running') {
    return {
      machine: machineForward(situation),
      content: contentForward(situation),
      devcontainer: devcontainerForward(situation),
    };
  }
  const arrived = needs.length === 0 && stepsEnding(situation).length === 0;
  const going = way === 'stopped' ? 'stopping' : 'deleting';
  return {
    machine: arrived ? way : going,
    content: contentBack(situation),
    devcontainer: situation.record.rootSession === undefined ? 'none' : 'stopped',
  };
}

function machineForward(situation: Situation): Standing['machine'] {
  const { main, disk } = situation.observed;
  // A rebuild takes the instance down for a moment; for its user that is a part of the update.
  if (isUpdating(situation)) return 'running';
  if (main?.state === 'running') return mainIsInTheWay(situation) ? 'stopping' : 'running';
  return disk === undefined ? 'creating' : 'starting';
}

function contentForward(situation: Situation): Standing['content'] {
  if (isUpdating(situation)) return 'updating';
  if (contentIsMade(situation)) return 'ready';
  return situation.observed.disk === undefined ? 'none' : 'initializing';
}

function contentBack(situation: Situation): Standing['content'] {
  if (situation.record.failure?.step === 'content') return 'failed';
  return contentIsMade(situation) ? 'ready' : 'none';
}

function devcontainerForward(situation: Situation): Standing['devcontainer'] {
  if (isReady(situation)) return isInRecovery(situation) ? 'failed' : 'running';
  return contentIsMade(situation) ? 'creating' : 'none';
}
