/**
 * What is written down about an instance, in its bundle folder. Whether it runs is not written down: that is
 * read from the machine each time.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AtelierError, parseInstanceName } from '@atelier/api';
import type { InstanceEnd, InstanceStart } from '@atelier/driver';
import { environmentIds, instancesFolder } from '../disks/folders.ts';
import { namesIn, readJson, readText, unlessMissing } from '../host/files.ts';
import { readMountTable } from '../host/mount-table.ts';
import type { OciHome } from '../home.ts';

/** Where an instance sees its supervisor. */
export const supervisorInside = '/opt/atelier';

/** A process as nothing else on this boot can be: its pid and the moment that it started. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

/** The record of an instance that was started. */
export interface InstanceRecord {
  readonly name: string;
  readonly root: InstanceStart['root'];
  readonly process: ProcessIdentity;
  /** Boot of the machine that it was started in. */
  readonly bootId: string;
  /** How our own stop ended it, absent when nobody stopped it. */
  readonly end?: InstanceEnd | undefined;
}

/** The environment of an instance; `invalid_argument` for a text that is no instance's name. */
export function environmentOf(instanceName: string): string {
  const parsed = parseInstanceName(instanceName);
  if (parsed !== undefined) return parsed.environmentId;
  const message = `${JSON.stringify(instanceName)} is not the name of an instance`;
  throw new AtelierError('invalid_argument', `${message}: use <environment id>-<part>-<generation>`);
}

/** The bundle folder of an instance. */
export function bundleFolder(home: OciHome, instanceName: string): string {
  return join(instancesFolder(home, environmentOf(instanceName)), instanceName);
}

/** The record of an instance, undefined when it was never started or only half. */
export function readRecord(home: OciHome, instanceName: string): InstanceRecord | undefined {
  return readJson<InstanceRecord>(join(bundleFolder(home, instanceName), 'state.json'));
}

/** The names of all bundles of an environment, half made ones too. */
export function bundleNames(home: OciHome, environmentId: string): string[] {
  return namesIn(instancesFolder(home, environmentId)).filter(
    (name) => parseInstanceName(name) !== undefined,
  );
}

/** All records of this home. */
export function allRecords(home: OciHome): InstanceRecord[] {
  return environmentIds(home).flatMap((id) =>
    bundleNames(home, id).flatMap((name) => readRecord(home, name) ?? []),
  );
}

/** The process with this pid as it is now, undefined when there is none or when it is dead already. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = unlessMissing(() => readText(`/proc/${pid}/stat`));
  // The second field is the program's name in brackets, with anything in it.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTime = fields?.[19];
  if (startTime === undefined || fields?.[0] === 'Z' || fields?.[0] === 'X') return undefined;
  return { pid, startTime };
}

/** The boot of the machine that we are in. */
export function currentBoot(): string {
  return (readText('/proc/sys/kernel/random/boot_id') ?? '').trim();
}

/** Whether the process of a record still runs. */
export function isRunning(record: InstanceRecord): boolean {
  if (record.bootId !== currentBoot()) return false;
  return identify(record.process.pid)?.startTime === record.process.startTime;
}

/** Whether an instance of the environment runs, or only one whose root is this generation. */
export function isInUse(home: OciHome, environmentId: string, generation?: number): boolean {
  return bundleNames(home, environmentId)
    .flatMap((name) => readRecord(home, name) ?? [])
    .some((record) => isRunning(record) && (generation === undefined || liesOn(record, generation)));
}

/**
 * Names of the supervisor folders that running instances see, whichever version of the driver started them: read
 * from what the kernel has mounted there.
 */
export function supervisorsInUse(home: OciHome): string[] {
  const names = allRecords(home)
    .filter(isRunning)
    .flatMap(({ process }) => unlessMissing(() => readMountTable(process.pid)) ?? [])
    .filter(({ mountPoint }) => mountPoint === supervisorInside)
    .map(({ root }) => basename(root));
  return [...new Set(names)];
}

/** Whether there is anything of an instance of the environment, running or not. */
export function hasInstances(home: OciHome, environmentId: string): boolean {
  return existsSync(instancesFolder(home, environmentId)) && bundleNames(home, environmentId).length > 0;
}

function liesOn(record: InstanceRecord, generation: number): boolean {
  return record.root.kind === 'disk' && record.root.generation === generation;
}
