/** What a runner would find on this machine: the one place where the machine's facts for `doctor` come from. */
import type { RunnerDescription } from '@atelier/runner/main';
import type { Home } from './home.ts';
import type { DaemonOptions } from './message.ts';

/** Looks at the machine by the driver's own probe; needs no daemon and changes nothing that stays. */
export async function describeMachine(
  home: Home,
  driverName: DaemonOptions['driverName'],
): Promise<RunnerDescription> {
  const { describeRunner } = await import('@atelier/runner/main');
  return describeRunner({ home: home.folder, driverName });
}
