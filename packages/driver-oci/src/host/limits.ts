/** Limits of this process that bound what it can give to others. */
import { AtelierError } from '@atelier/api';
import { readText } from './files.ts';

/** The hard limit of open files: a process without CAP_SYS_RESOURCE can give no more than it has. */
export function filesMax(limits: string = readText('/proc/self/limits') ?? ''): number {
  const line = limits.split('\n').find((each) => each.startsWith('Max open files'));
  const hard = line?.trim().split(/\s+/)[4];
  if (hard === 'unlimited') return Number.MAX_SAFE_INTEGER;
  if (hard !== undefined && Number(hard) > 0) return Number(hard);
  throw new AtelierError('internal', '/proc/self/limits names no limit of open files');
}
