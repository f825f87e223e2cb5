/**
 * A scenario: one run that once broke a rule, small enough to be read and kept. As text:
 *
 *     # why it is kept
 *     seed 2
 *     users 2 5
 *     hours 1.92
 *     fault driver-delay#18
 */
import { AtelierError } from '@atelier/api';
import type { RunOptions } from './run.ts';

/** What of a run's options a scenario says. */
export type Scenario = Required<Pick<RunOptions, 'seed' | 'hours' | 'users' | 'permitted'>>;

/** The options that replay a scenario until its first violation. */
export function replayOf(scenario: Scenario): RunOptions {
  return { ...scenario, environments: scenario.users?.length ?? 0, stopAtFirst: true };
}

/** A scenario as text, with a comment on top. */
export function writeScenario({ seed, hours, users, permitted }: Scenario, comment: string): string {
  const lines = [
    ...comment.split('\n').map((line) => `# ${line}`),
    `seed ${seed}`,
    `users ${users?.join(' ')}`,
    `hours ${hours}`,
    ...(permitted ?? []).map((name) => `fault ${name}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Reads what `writeScenario` wrote; `invalid_argument` for a line that it does not know. */
export function readScenario(text: string): Scenario {
  let seed = 0;
  let hours = 0;
  let users: number[] = [];
  const permitted: string[] = [];
  for (const line of text.split('\n')) {
    const [word = '', ...rest] = line.trim().split(/\s+/);
    if (word === '' || word === '#') continue;
    if (word === 'seed') seed = Number(rest[0]);
    else if (word === 'hours') hours = Number(rest[0]);
    else if (word === 'users') users = rest.map(Number);
    else if (word === 'fault') permitted.push(rest[0] ?? '');
    else throw new AtelierError('invalid_argument', `A scenario has no line ${JSON.stringify(line)}.`);
  }
  return { seed, hours, users, permitted };
}
