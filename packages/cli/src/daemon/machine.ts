/** What a runner would find on this machine: the one place where the machine's facts for `doctor` come from. */
import type { RunnerDescription } from '@atelier/runner/main';
import type { Home } from './home.ts';
import type { DaemonOptions } from './message.ts';

/** Looks at the machine by the driver's own probe; a daemon may run or not, and nothing that is changed stays. */
export async function describeMachine(
  home: Home,
  { driverName, inheritsHost }: Pick<DaemonOptions, 'driverName' | 'inheritsHost'>,
): Promise<RunnerDescription> {
  const { describeRunner } = await import('@atelier/runner/main');
  return describeRunner({ home: home.folder, driverName, inheritsHost });
}
