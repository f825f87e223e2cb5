/** What the supervisor stands on, as arguments: so that a test runs it in its own process, without root. */
import type { Clock } from '@atelier/api';
import { AtelierError } from '@atelier/api';
import type { Starter } from '@atelier/posix';

/** The native part of a terminal, as its addon exports it. */
export interface TerminalAddon {
  fork(
    file: string,
    args: readonly string[],
    environment: readonly string[],
    workingDirectory: string,
    columns: number,
    rows: number,
    userId: number,
    groupId: number,
    utf8: boolean,
    helperPath: string,
    onExit: (code: number, signal: number) => void,
  ): { readonly fd: number; readonly pid: number };
  resize(fd: number, columns: number, rows: number): void;
}

/** The machine that a supervisor runs on. */
export interface Machine {
  readonly clock: Clock;
  /** Names this run of PID 1, see HelloResponse.boot. */
  readonly boot: string;
  /** The supervisor's own variables; children get those that are not internal. */
  readonly variables: Readonly<Record<string, string>>;
  /** Starts a process; its native part is loaded with the first. */
  readonly startProcess: Starter;
  /** Loaded when the first terminal is opened, since most environments at rest have none. */
  terminalAddon(): TerminalAddon;
  /** Program and first arguments of a `chroot` of the coreutils, which becomes another user by numbers alone. */
  readonly switchUser: readonly string[];
  readonly processFolder: string;
  readonly passwdPath: string;
  readonly groupPath: string;
  /** See `keep-alive.ts`; emptied when the supervisor starts. */
  readonly keepAliveFolder: string;
  /** All processes of the environment but PID 1 and the supervisor; undefined where others run as well. */
  strangers(): number[] | undefined;
}

/** The message of anything thrown, for a sentence. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The `code` of a system error such as ENOENT, empty for anything else. */
export function systemCodeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

/** Gives a system error of a file the code that fits. `what` begins the sentence, such as `Cannot read /a`. */
export function fileError(thrown: unknown, what: string): AtelierError {
  if (thrown instanceof AtelierError) return thrown;
  const message = `${what}: ${messageOf(thrown)}`;
  switch (systemCodeOf(thrown)) {
    case 'ENOENT':
      return new AtelierError('not_found', message, { cause: thrown });
    case 'EEXIST':
      return new AtelierError('already_exists', message, { cause: thrown });
    case 'EACCES':
    case 'EPERM':
      return new AtelierError('permission_denied', message, { cause: thrown });
    case 'ENOSPC':
    case 'EDQUOT':
      return new AtelierError('resource_exhausted', message, { cause: thrown });
    default:
      return new AtelierError('failed_precondition', message, { cause: thrown });
  }
}
