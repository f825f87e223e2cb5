/** What can be fuzzed: how an input is made, what takes it, and what it may answer. */
import { AtelierError, errorCodes, toAtelierError, type Random } from '@atelier/api';

/** Everything that is needed to make an input smaller: it has a length, and parts of it can be left out. */
export type Input = string | Uint8Array | readonly string[];

/** A thing that takes inputs. */
export interface Target {
  /** One input; it follows from the chance alone. */
  make(random: Random): Input;
  /** How many inputs are under way at once; 1 when not given. */
  readonly lanes?: number;
  /** Sets the thing up once for many inputs. */
  open(): Promise<Opened>;
}

/** A target that is set up. */
export interface Opened {
  /**
   * Gives the input to it and answers what it said: `ok` or one of our codes. Whatever is thrown is a finding:
   * an error that is not ours, an `internal`, a promise about the answer that is broken.
   */
  run(input: Input): string | Promise<string>;
  /** Throws when something is wrong with it after all inputs: it no longer answers, or holds on to something. */
  check?(): Promise<void>;
  close(): Promise<void>;
}

const ownFaults = new Set(['internal', 'data_loss']);

/** The code of an error that may be answered; anything else is thrown again, as a finding. */
export function allowedCode(thrown: unknown): string {
  const error = toAtelierError(thrown);
  if (ownFaults.has(error.code)) throw thrown;
  return error.code;
}

/** As {@link allowedCode}, for code in this process that may throw nothing but our own error. */
export function ownCode(thrown: unknown): string {
  if (!(thrown instanceof AtelierError)) throw thrown;
  return allowedCode(thrown);
}

/** A code that came over a wire, when it may. */
export function wireCode(code: unknown, what: string): string {
  if (typeof code === 'string' && (errorCodes as readonly string[]).includes(code) && !ownFaults.has(code)) {
    return code;
  }
  throw new Error(`${String(code)} is no code that may be answered: ${what}`);
}
