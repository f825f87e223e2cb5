/** `atelier daemon`: start, stop, status and logs of the process that has plane and runner. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { AtelierError } from '@atelier/api';
import type { CommandContext, Format } from '../context.ts';
import { homeOf, type Half } from '../daemon/home.ts';
import type { DaemonMessage, DaemonOptions } from '../daemon/message.ts';
import { readRecord, runningDaemon, type DaemonRecord } from '../daemon/record.ts';
import { startDaemon, stopDaemon, wholeDaemon } from '../daemon/start.ts';
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
  readonly output: Format;
}

/** Starts the daemon, or one half of it, and waits until it answers. One that runs already is success. */
export async function start(context: CommandContext, options: StartOptions): Promise<void> {
  const { home } = context;
  const halves = halvesOf(options);
  const missing = halves.filter((half) => !runningDaemon(home, half));
  const last = readRecord(home, missing[0] ?? 'plane')?.options ?? wholeDaemon;
  if (missing.length === 0) context.note('the daemon is running already');
  else {
    await startDaemon(context.starter(), {
      halves: missing,
      driverName: options.driver ?? last.driverName,
      databaseUrl: options.databaseUrl ?? last.databaseUrl,
      port: options.port ?? last.port,
    });
  }
  print(context, daemonsOf(context, halves), options.output);
}

/** Stops what runs of the daemon; environments run on. Nothing that runs is success. */
export async function stop(
  context: CommandContext,
  options: { readonly plane?: boolean; readonly runner?: boolean },
): Promise<void> {
  const records = daemonsOf(context, halvesOf(options));
  if (records.length === 0) context.note('the daemon is not running');
  for (const record of records) {
    await stopDaemon(context.starter(), record);
    context.note(`the daemon (process ${record.pid}) has stopped; environments run on`);
  }
}

/** Says how the daemon is reached; `unavailable` when it does not run. */
export async function status(context: CommandContext, options: { readonly output: Format }): Promise<void> {
  const records = daemonsOf(context, wholeDaemon.halves);
  if (records.length > 0) return print(context, records, options.output);
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
        ['home', home.folder] as const,
        ['log', home.logFile] as const,
      ].filter(([, value]) => value !== ''),
    ),
  );
  out(parts.join('\n'));
}
