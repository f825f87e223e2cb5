/**
 * Versions of our own protocols, each with the date and the meaning of every step.
 *
 * The rule: a side that speaks version N goes on with one that speaks N-1 or N+1, in the lower of the two. Whoever is
 * asked answers with that lower version, and whoever asks takes it. Fields and messages that a side does not know are
 * left alone; what an older side cannot do is refused with words by the newer one. Further apart, the link is refused
 * and says which side to update. So an update may go over any number of versions in a row, one at a time.
 */

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
  {
    version: 2,
    date: '2026-11-25',
    change:
      'The plane takes a neighbouring version and welcomes in the lower one. A plane of version 1 refuses every other one, so a runner that is refused says hello once more in the version below its own.',
  },
];

/** The log of the supervisor protocol (atelier.v1.SupervisorService), newest last. */
export const supervisorProtocolLog: readonly ProtocolVersion[] = [
  { version: 1, date: '2026-11-22', change: 'The first version: spec, status, logs, processes, ports.' },
  {
    version: 2,
    date: '2026-11-25',
    change:
      'The supervisor answers a hello in the lower of both versions; one of version 1 answers 1 whatever it is asked, and a runner of version 1 takes no other answer. Activity is a list of entries with kind, name and time, which version 1 does not have.',
  },
];

/** The runner protocol that this build speaks. */
export const runnerProtocolVersion = 2;

/** The supervisor protocol that this build speaks. */
export const supervisorProtocolVersion = 2;

/** The version of this build, shown to people and compared by the CLI with a running daemon's. */
export const softwareVersion = '0.2.0';

/** The version in which a side goes on with another one, by the rule; undefined when they are too far apart. */
export function agreedVersion(own: number, other: number): number | undefined {
  return Math.abs(own - other) <= 1 ? Math.min(own, other) : undefined;
}

/** Compares software versions of three numbers: below 0 when the first is older; NaN when one is in another form. */
export function compareVersions(one: string, other: string): number {
  const [left, right] = [one, other].map((text) => text.split(/[.+-]/).slice(0, 3).map(Number));
  for (const index of [0, 1, 2]) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
