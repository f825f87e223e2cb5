/** Why an environment is where it is: one sentence for a person. */
import { stepTexts, type Readiness, type StepNeed } from './backoff.ts';
import { stepsEnding } from './backward.ts';
import { fallsMax } from './changes.ts';
import { isIdleStopped, isInRecovery, isReady, type Situation, type Way } from './situation.ts';

/** The reason in a plan: what goes on, with the last error of what is tried again, or why it rests. */
export function reasonOf(
  situation: Situation,
  way: Way,
  needs: readonly StepNeed[],
  readiness: readonly Readiness[],
): string {
  const parts = needs.map((need, index) => partText(situation, need, readiness[index]));
  const ending = stepsEnding(situation);
  if (parts.length === 0 && way !== 'running' && ending.length > 0) {
    parts.push(`the end of ${ending.map(({ step }) => step).join(' and ')} is waited for`);
  }
  const state = stateText(situation, way);
  if (parts.length === 0) return sentence(state);
  if (overdue(situation, way)) parts[0] = `overdue: ${parts[0]}`;
  if (saysState(situation, way)) parts.unshift(bare(state));
  else if (way === 'running') parts.unshift(...fallText(situation));
  return sentence(parts.join('; '));
}

/** Whether the state is worth saying beside what goes on: it holds already, or it says why. */
function saysState(situation: Situation, way: Way): boolean {
  const { desired, record } = situation;
  if (way === 'running') return isReady(situation);
  return way === 'stopped' && (record.failure !== undefined || isIdleStopped(desired, record));
}

function fallText({ record }: Situation): string[] {
  const { falls } = record;
  if (falls === undefined) return [];
  return [`the instance ${falls.end} and is started again (${falls.count} of ${fallsMax} times)`];
}

function partText({ record }: Situation, need: StepNeed, readiness: Readiness | undefined): string {
  const text = need.recovery === true ? `${stepTexts[need.step]} for recovery` : stepTexts[need.step];
  if (readiness?.kind === 'later') return `${text}, again after: ${bare(readiness.message)}`;
  const failure = record.failures[need.step];
  if (failure?.session !== need.session) return text;
  return `${text} (attempt ${failure.attempts + 1} after: ${bare(failure.message)})`;
}

function stateText(situation: Situation, way: Way): string {
  const { desired, record } = situation;
  if (way === 'deleted') return 'The environment is deleted';
  if (way === 'running') {
    if (!isInRecovery(situation)) return 'The environment runs';
    return `The environment runs, but its dev container failed: ${record.recovery?.message ?? ''}`;
  }
  if (record.failure !== undefined) return `The environment failed: ${record.failure.message}`;
  if (isIdleStopped(desired, record)) return `The environment was stopped: ${record.idleStop?.reason ?? ''}`;
  return 'The environment is stopped';
}

function overdue({ record, deadlines, nowMs }: Situation, way: Way): boolean {
  if (way === 'running') return false;
  return nowMs >= record.goalSinceMs + (way === 'stopped' ? deadlines.stopMs : deadlines.deleteMs);
}

function bare(message: string): string {
  return message.trim().replace(/\.$/, '');
}

function sentence(text: string): string {
  const first = text.slice(0, 1).toUpperCase();
  return `${first}${bare(text.slice(1))}.`;
}
