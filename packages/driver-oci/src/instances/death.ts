/** How an instance ends, and how we make sure that nothing of it runs. */
import { AtelierError, sleep, type Clock } from '@atelier/api';
import type { InstanceEnd } from '@atelier/driver';
import { unlessMissing } from '../host/files.ts';
import type { Cgroups } from './cgroup.ts';
import { isRunning, type InstanceRecord } from './records.ts';

const pollMsMin = 5;
const pollMsMax = 100;
/** A process that SIGKILL does not end for so long hangs in the kernel. */
const killMsMax = 30_000;

/** Waits until `done` says so; false when `timeoutMs` went by first. */
export async function waitUntil(clock: Clock, timeoutMs: number, done: () => boolean): Promise<boolean> {
  const deadlineMs = clock.nowMs() + timeoutMs;
  for (let pollMs = pollMsMin; !done(); pollMs = Math.min(pollMs * 2, pollMsMax)) {
    const leftMs = deadlineMs - clock.nowMs();
    if (leftMs <= 0) return false;
    await sleep(clock, Math.min(pollMs, leftMs));
  }
  return true;
}

/** Asks PID 1 to end and waits; whether it did. */
export async function endGently(clock: Clock, record: InstanceRecord, graceMs: number): Promise<boolean> {
  if (isRunning(record)) unlessMissing(() => process.kill(record.process.pid, 'SIGTERM'));
  return waitUntil(clock, graceMs, () => !isRunning(record));
}

/** Kills everything in an instance's cgroup, again and again until nothing is left. */
export async function killAll(clock: Clock, cgroups: Cgroups, name: string): Promise<void> {
  const gone = await waitUntil(clock, killMsMax, () => {
    if (cgroups.processes(name).length === 0) return true;
    cgroups.kill(name);
    return false;
  });
  if (!gone) throw hanging(name);
}

function hanging(name: string): AtelierError {
  const message = `processes of ${name} do not die; they hang in the kernel: see the machine's log`;
  return new AtelierError('unavailable', message);
}

/**
 * Kills an instance and returns when it counts as ended: the kernel takes a process off the list of its cgroup a
 * moment before it is dead.
 */
export async function killInstance(clock: Clock, cgroups: Cgroups, record: InstanceRecord): Promise<void> {
  await killAll(clock, cgroups, record.name);
  if (await waitUntil(clock, killMsMax, () => !isRunning(record))) return;
  throw hanging(record.name);
}

/** Takes the cgroup of an instance away; its processes are dead, but may still be on their way out. */
export async function removeCgroups(clock: Clock, cgroups: Cgroups, name: string): Promise<void> {
  if (await waitUntil(clock, killMsMax, () => cgroups.remove(name))) return;
  throw new AtelierError(
    'unavailable',
    `the cgroup of ${name} cannot be removed: something was moved into it`,
  );
}

/**
 * Why an instance that does not run any more has ended. There is no parent that would know its exit code: what
 * our own stop did is written down, and a kill for want of memory is counted by the kernel.
 */
export function endOf(record: InstanceRecord, cgroups: Cgroups): InstanceEnd {
  if (record.end !== undefined) return record.end;
  return cgroups.outOfMemoryKills(record.name) > 0 ? 'out-of-memory' : 'unknown';
}
