/** What every command is given. */
import { readFile } from 'node:fs/promises';
import type { AtelierClient } from '@atelier/sdk';
import { homeOf, type Home } from './daemon/home.ts';
import type { DaemonRecord } from './daemon/record.ts';
import type { DaemonStarter } from './daemon/start.ts';
import { Progress } from './output/progress.ts';
import type { System } from './system.ts';

/** How data is printed on stdout. */
export type Format = 'table' | 'json';

/** The surroundings of one command. */
export interface CommandContext {
  readonly system: System;
  readonly home: Home;
  /** The version of this command line. */
  readonly version: string;
  readonly progress: Progress;
  /** Data. */
  out(text: string): void;
  /** One line for the person, on stderr. */
  note(text: string): void;
  /** A client of the plane, whose daemon is started when it does not run. */
  connect(): Promise<AtelierClient>;
  /** What the daemon's own commands need. */
  starter(): DaemonStarter;
  /** Ends connections and live progress. */
  close(): void;
}

/** A daemon that is killed and started again on a busy machine is back within this. */
const patienceMs = 45_000;

/** Makes the surroundings of a command on a machine. */
export function createContext(system: System, version: string): CommandContext {
  const home = homeOf(system);
  const progress = new Progress(system.stderr, system.clock);
  let client: AtelierClient | undefined;
  const context: CommandContext = {
    system,
    home,
    version,
    progress,
    out: (text) => void system.stdout.write(text),
    note: (text) => progress.note(text),
    async connect() {
      const [{ ensureDaemon }, { createClient }] = await Promise.all([
        import('./daemon/start.ts'),
        import('@atelier/sdk'),
      ]);
      const daemon = await ensureDaemon(context.starter());
      client = createClient({
        patienceMs,
        url: daemon.url,
        token: await readToken(daemon),
        clock: system.clock,
        random: system.random,
      });
      return client;
    },
    starter: () => ({
      system,
      home,
      version,
      note: (text) => progress.note(text),
      step: (label, tookMs) => showStep(progress, system, label, tookMs),
    }),
    close() {
      progress.end();
      client?.close();
    },
  };
  return context;
}

function showStep(progress: Progress, system: System, label: string, tookMs: number | undefined): void {
  const nowMs = system.clock.nowMs();
  const state = tookMs === undefined ? 'running' : 'succeeded';
  const time = tookMs === undefined ? { startedAtMs: nowMs } : { startedAtMs: nowMs - tookMs, tookMs };
  progress.update([{ key: `daemon/${label}`, label, state, message: '', ...time }]);
}

async function readToken({ tokenFile }: DaemonRecord): Promise<string> {
  let why = 'it is damaged';
  let failure: unknown;
  try {
    const token = (await readFile(tokenFile, 'utf8')).trim();
    if (/^[\x21-\x7e]+$/.test(token)) return token;
  } catch (cause) {
    failure = cause;
    why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is gone' : 'it cannot be read';
  }
  const { AtelierError } = await import('@atelier/api');
  throw new AtelierError(
    'unauthenticated',
    `the token in ${tokenFile} is of no use: ${why}. ${tokenAdvice}`,
    { cause: failure },
  );
}

/** What helps when a token is not accepted: the daemon makes sure of it when it starts. */
export const tokenAdvice =
  'If the home is yours, "atelier daemon stop" and then "atelier daemon start" write it anew; environments run on.';
