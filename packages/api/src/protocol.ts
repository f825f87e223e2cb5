/** Versions of our own protocols, each with the date and the meaning of every step. */

/** One version of a protocol. */
export interface ProtocolVersion {
  /** Grows by one with each change that the other side can notice. */
  version: number;
  /** The day of the change, ISO 8601. */
  date: string;
  /** What changed, and what a side that lacks it sees. */
  change: string;
}

/** The log of the runner protocol (atelier.v1.RunnerLinkService), newest last. */
export const runnerProtocolLog: readonly ProtocolVersion[] = [
  {
    version: 1,
    date: '2026-11-22',
    change: 'The first version: hello, desired set by revision, observed state.',
  },
];

/** The log of the supervisor protocol (atelier.v1.SupervisorService), newest last. */
export const supervisorProtocolLog: readonly ProtocolVersion[] = [
  { version: 1, date: '2026-11-22', change: 'The first version: spec, status, logs, processes, ports.' },
];

/** The runner protocol that this build speaks. */
export const runnerProtocolVersion = 1;

/** The supervisor protocol that this build speaks. */
export const supervisorProtocolVersion = 1;

/** The version of this build, shown to people and compared by the CLI with a running daemon's. */
export const softwareVersion = '0.1.0';
