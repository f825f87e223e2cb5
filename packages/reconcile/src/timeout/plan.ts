/** When an environment counts as idle. */

/** Work that was seen in an environment. Times are milliseconds since the epoch, undefined when never. */
export interface ActivityFacts {
  /** The last keystroke of a user or command of a client. */
  readonly lastInputAtMs?: number | undefined;
  /** The last output of a process or terminal that somebody is attached to. */
  readonly lastOutputAtMs?: number | undefined;
  /** The last time that an editor or a client marked the environment as active. */
  readonly lastMarkedAtMs?: number | undefined;
  readonly runningTasks: number;
  /** Processes that were started through the API and that their caller waits for. */
  readonly runningExecutions: number;
  /** Names of processes that asked to be kept alive. */
  readonly keepAlive: readonly string[];
}

/** What the plan of a timeout reads. */
export interface TimeoutFacts {
  /** How long without activity; 0 means never. */
  readonly timeoutMs: number;
  readonly activity: ActivityFacts;
  /** When the environment was up: a start is an activity. */
  readonly startedAtMs: number;
  /** The latest `workSeenAtMs` of earlier answers: after long work the whole timeout begins. */
  readonly workSeenAtMs?: number | undefined;
  readonly nowMs: number;
}

/** Whether the environment is idle, and why it is not. */
export type TimeoutPlan =
  | {
      readonly idle: false;
      /** One entry for each kind of work that was seen; without moving numbers, so that it changes rarely. */
      readonly stillOn: readonly string[];
      /** Keep it for the next call: when work that has no time of its own was last seen. */
      readonly workSeenAtMs?: number | undefined;
      /** Ask again then, if no activity is reported before; undefined: only a change of the timeout matters. */
      readonly checkAgainAtMs: number | undefined;
    }
  | { readonly idle: true; readonly sinceMs: number; readonly reason: string };

// Work that goes on is looked at again this often, whatever the timeout: its end is not always reported.
const workCheckMs = 60_000;

/**
 * Decides about idleness. Tasks, executions and keep-alive hold an environment up as long as they go on;
 * input, attached output, marks and its start hold it for `timeoutMs` each. Services, background processes
 * and terminals in which nothing happens do not count: otherwise a forgotten one would hold it for ever.
 */
export function planTimeout(facts: TimeoutFacts): TimeoutPlan {
  const { timeoutMs, activity, nowMs } = facts;
  const work = workTexts(activity);
  const workSeenAtMs = work.length > 0 ? nowMs : facts.workSeenAtMs;
  const seen = workSeenAtMs === undefined ? {} : { workSeenAtMs };
  if (timeoutMs === 0) return { idle: false, stillOn: ['no timeout'], ...seen, checkAgainAtMs: undefined };
  const signs = signsOf(facts);
  const recent = signs.filter(({ atMs }) => nowMs - atMs < timeoutMs);
  const lastMs = Math.max(facts.startedAtMs, workSeenAtMs ?? 0, ...signs.map(({ atMs }) => atMs));
  if (work.length > 0 || nowMs - lastMs < timeoutMs) {
    const stillOn = [...work, ...recent.map(({ text }) => text)];
    if (stillOn.length === 0) stillOn.push('recent work');
    const checkAgainAtMs = work.length > 0 ? nowMs + workCheckMs : lastMs + timeoutMs;
    return { idle: false, stillOn, ...seen, checkAgainAtMs };
  }
  const minutes = Math.round(timeoutMs / 60_000);
  return { idle: true, sinceMs: lastMs, reason: `There was no activity for ${minutes} minutes.` };
}

function workTexts({ runningTasks, runningExecutions, keepAlive }: ActivityFacts): string[] {
  const texts: string[] = [];
  if (runningTasks > 0) texts.push(`running tasks: ${runningTasks}`);
  if (runningExecutions > 0) texts.push(`running executions: ${runningExecutions}`);
  return [...texts, ...keepAlive.map((name) => `keep-alive: ${name}`)];
}

function signsOf({ activity, startedAtMs }: TimeoutFacts): { text: string; atMs: number }[] {
  const signs = [
    { text: 'recent start', atMs: startedAtMs },
    { text: 'recent input', atMs: activity.lastInputAtMs },
    { text: 'recent output', atMs: activity.lastOutputAtMs },
    { text: 'marked as active', atMs: activity.lastMarkedAtMs },
  ];
  return signs.flatMap(({ text, atMs }) => (atMs === undefined ? [] : [{ text, atMs }]));
}
