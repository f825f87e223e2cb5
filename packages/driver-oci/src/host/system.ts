/** What this process was started with: the only place of the package that reads its variables. */
import { systemClock } from '@atelier/api/system';
import type { Clock } from '@atelier/api';

/** The variables of this process, from which proxies and certificate authorities of the host are inherited. */
export const hostVariables: Readonly<Record<string, string | undefined>> = process.env;

/** The machine's clock, for the waits of this driver's own tests and commands. */
export const clock: Clock = systemClock;
