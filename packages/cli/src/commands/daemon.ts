/** `atelier daemon`: start, stop, status and logs of the process that has plane and runner. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { AtelierError } from '@atelier/api';
import type { CommandContext, Format } from '../context.ts';
import { homeOf, type Half } from '../daemon/home.ts';
import { lockHolder } from '../daemon/lock.ts';
import type { DaemonMessage, DaemonOptions } from '../daemon/message.ts';
import type { ProcessIdentity } from '../daemon/processes.ts';
import { lastOptions, runningDaemon, type DaemonRecord } from '../daemon/record.ts';
import { restartOlder, startDaemon, stopDaemon, wholeDaemon } from '../daemon/start.ts';
import { formatDuration } from '../output/duration.ts';
import { formatJson } from '../output/json.ts';
import { formatFacts } from '../output/table.ts';

/** What may be said behind `daemon start`. */
export interface StartOptions {
  readonly plane?: boolean;
  readonly runner?: boolean;
  readonly port?: number;
  readonly databaseUrl?: string;
  readonly driver?: DaemonOptions['driverName'];
  readonly inheritHost?: boolean;
  readonly output: Format;
}

/** Starts the daemon, or one half of it, and waits until it answers. One that runs and is not older is success. */
export async function start(context: CommandContext, options: StartOptions): Promise<void> {
  const { home } = context;
  const halves = halvesOf(options);
  await restartOlder(context.starter(), halves);
  const missing = halves.filter((half) => !runningDaemon(home, half));
  const last = lastOptions(home) ?? wholeDaemon;
  if (missing.length === 0) {
    const other = otherThan(last, options);
    const advice = other === '' ? '' : `, without ${other}: "atelier daemon stop" first`;
    context.note(`the daemon is running already${advice}`);
  } else {
    await startDaemon(context.starter(), {
      halves: missing,
      driverName: options.driver ?? last.driverName,
      databaseUrl: options.databaseUrl ?? last.databaseUrl,
      inheritsHost: options.inheritHost ?? last.inheritsHost,
      port: options.port ?? last.port,
    });
  }
  print(context, daemonsOf(context, halves), options.output);
}

/** The options that a daemon was not started with, as they are written. */
function otherThan(last: DaemonOptions, { driver, databaseUrl, inheritHost }: StartOptions): string {
  const differs = [
    driver !== undefined && driver !== last.driverName && `--driver ${driver}`,
    databaseUrl !== undefined && databaseUrl !== last.databaseUrl && '--database-url',
    inheritHost !== undefined &&
      inheritHost !== (last.inheritsHost ?? true) &&
      (inheritHost ? '--inherit-host' : '--no-inherit-host'),
  ];
  return differs.filter((text) => text !== false).join(' ');
}

/** Stops what runs of the daemon; environments run on. Nothing that runs is success. */
export async function stop(
  context: CommandContext,
  options: { readonly plane?: boolean; readonly runner?: boolean },
): Promise<void> {
  const halves = halvesOf(options);
  const records = daemonsOf(context, halves);
  const processes = records.length > 0 ? records : unreachable(context, halves);
  if (processes.length === 0) context.note('the daemon is not running');
  for (const record of processes) {
    await stopDaemon(context.starter(), record);
    context.note(`the daemon (process ${record.pid}) has stopped; environments run on`);
  }
}

/** Says how the daemon is reached; `unavailable` when it does not run. */
export async function status(context: CommandContext, options: { readonly output: Format }): Promise<void> {
  const records = daemonsOf(context, wholeDaemon.halves);
  if (records.length > 0) return print(context, records, options.output);
  const [unknown] = unreachable(context, wholeDaemon.halves);
  if (unknown) {
    const message = `process ${unknown.pid} is the daemon of ${context.home.folder}, but nothing there says how it is reached: it is starting, or ${context.home.recordFile('plane')} is damaged; "atelier daemon start" waits for it and mends that`;
    throw new AtelierError('unavailable', message);
  }
  if (options.output === 'json') context.out(formatJson({ running: false, home: context.home.folder }));
  throw new AtelierError(
    'unavailable',
    `the daemon of ${context.home.folder} is not running; "atelier daemon start" starts it`,
  );
}

/** Prints the end of the daemon's log, and with `follow` what comes. */
export async function logs(context: CommandContext, options: { readonly follow?: boolean }): Promise<number> {
  const { logFile } = context.home;
  if (!existsSync(logFile)) throw new AtelierError('not_found', `there is no log yet at ${logFile}`);
  const tail = spawn('tail', ['-n', '200', ...(options.follow ? ['-F'] : []), logFile], { stdio: 'inherit' });
  const [code] = (await once(tail, 'exit')) as [number | null];
  return code ?? 0;
}

/** The daemon process itself; started by `start`, never by a person. */
export async function serve(context: CommandContext, home: string, options: string): Promise<number> {
  const { serveDaemon } = await import('../daemon/serve.ts');
  const system = {
    ...context.system,
    variable: (name: string) => (name === 'ATELIER_HOME' ? home : context.system.variable(name)),
  };
  return serveDaemon({ system, home: homeOf(system), tell }, JSON.parse(options) as DaemonOptions);
}

function tell(message: DaemonMessage): void {
  // Whoever started us may be gone, which is none of our business.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

function halvesOf({
  plane,
  runner,
}: {
  readonly plane?: boolean;
  readonly runner?: boolean;
}): readonly Half[] {
  if (plane === runner) return wholeDaemon.halves;
  return plane ? ['plane'] : ['runner'];
}

function daemonsOf({ home }: CommandContext, halves: readonly Half[]): DaemonRecord[] {
  const records = new Map<number, DaemonRecord>();
  for (const half of halves) {
    const record = runningDaemon(home, half);
    if (record) records.set(record.pid, record);
  }
  return [...records.values()];
}

/** Processes that are a daemon of this home, by their locks alone. */
function unreachable({ home }: CommandContext, halves: readonly Half[]): ProcessIdentity[] {
  const holders = halves.flatMap((half) => lockHolder(home.lockFolder, half) ?? []);
  return [...new Map(holders.map((holder) => [holder.pid, holder])).values()];
}

function print(
  { home, system, out }: CommandContext,
  records: readonly DaemonRecord[],
  format: Format,
): void {
  const [first] = records;
  if (!first) return;
  if (format === 'json') {
    const halves = records.flatMap(({ options, pid, version, gatewayUrl }) =>
      options.halves.map((half) => ({ half, pid, version, ...(half === 'runner' && { gatewayUrl }) })),
    );
    const { url, tokenFile, pid, version } = first;
    return out(
      formatJson({
        running: true,
        home: home.folder,
        url,
        tokenFile,
        pid,
        version,
        logFile: home.logFile,
        halves,
        inheritsHost: inheritsHostOf(records),
      }),
    );
  }
  const parts = records.map((record) =>
    formatFacts(
      [
        [
          'daemon',
          `${record.options.halves.join(' and ')}, process ${record.pid}, version ${record.version}`,
        ] as const,
        ['up for', formatDuration(system.clock.nowMs() - record.startedAtMs)] as const,
        ['url', record.url] as const,
        ['token', record.tokenFile] as const,
        ['gateway', record.gatewayUrl] as const,
        ['inherits', inheritanceOf(record.options)] as const,
        ['home', home.folder] as const,
        ['log', home.logFile] as const,
      ].filter(([, value]) => value !== ''),
    ),
  );
  out(parts.join('\n'));
}

function inheritsHostOf(records: readonly DaemonRecord[]): boolean {
  return records.every(({ options }) => options.inheritsHost !== false);
}

function inheritanceOf({ halves, driverName, inheritsHost }: DaemonOptions): string {
  if (!halves.includes('runner') || driverName === 'simulated') return '';
  return inheritsHost === false
    ? 'nothing of this machine but its resolvers (--no-inherit-host)'
    : 'certificate authorities and proxies of this machine, as "atelier doctor" shows';
}
