/** Interleaved measuring: each round takes every contender once, so that all of them meet the same machine. */
import { AtelierError } from '@atelier/api';

/** One thing that is measured. */
export interface Contender {
  readonly name: string;
  /** One sample by line name, in milliseconds. What it makes, and takes away afterwards, is not in the times. */
  sample(): Promise<Readonly<Record<string, number>>>;
}

/** A budget: the median of a line, divided by that of a peer's line, may be at most so much. */
export interface Row {
  readonly what: string;
  readonly line: string;
  readonly peerLine: string;
  /** Undefined: shown, but not judged. */
  readonly ratioMax: number | undefined;
}

/** The figures of a line. */
export interface Figures {
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly samplesMs: readonly number[];
}

/** Rows that are measured together. */
export interface RowGroup {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly contenders: readonly Contender[];
  /** How often a contender is taken per run; more for what is quick. */
  readonly samplesPerRun: number;
  close(): Promise<void>;
}

/** Takes `runs` rounds after one that warms up and is thrown away. Errors: those of the contenders. */
export async function measure(
  group: RowGroup,
  runs: number,
  say: (text: string) => void,
): Promise<ReadonlyMap<string, Figures>> {
  const samples = new Map<string, number[]>();
  const rounds = runs * group.samplesPerRun;
  for (let round = 0; round <= rounds; round += 1) {
    const taken: string[] = [];
    for (const contender of group.contenders) {
      for (const [line, ms] of Object.entries(await contender.sample())) {
        taken.push(`${line} ${ms.toFixed(1)}`);
        if (round > 0) samples.set(line, [...(samples.get(line) ?? []), ms]);
      }
    }
    say(`${group.name} ${round === 0 ? 'warm-up' : `${round}/${rounds}`}: ${taken.join(', ')}`);
  }
  return new Map([...samples].map(([line, values]) => [line, figuresOf(values)]));
}

/** The figures of samples. Errors: `invalid_argument` when there are none. */
export function figuresOf(samplesMs: readonly number[]): Figures {
  const sorted = [...samplesMs].sort((one, other) => one - other);
  const [lower, upper] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  const [minMs, maxMs] = [sorted[0], sorted.at(-1)];
  if (lower === undefined || upper === undefined || minMs === undefined || maxMs === undefined) {
    throw new AtelierError('invalid_argument', 'there are no figures without samples');
  }
  return { medianMs: (lower + upper) / 2, minMs, maxMs, samplesMs };
}
