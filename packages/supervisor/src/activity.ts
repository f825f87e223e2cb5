/** Work that is seen inside: the facts from which idleness is decided outside. */
import { create } from '@bufbuild/protobuf';
import {
  ActivityEntrySchema,
  type ActivityEntry,
  type ActivityKind,
} from '@atelier/api/atelier/environment_detail';
import type { Clock } from '@atelier/api';
import { timestampOf } from './wire.ts';

/** How exact a time is: each new value is a message, and idleness counts in minutes. */
const resolutionMs = 10_000;
/** A name is for a line of a table. */
const nameLengthMax = 100;

/** The last time of something that happens often. */
export class LastTime {
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #atMs: number | undefined;

  /** `onChange` is called when the time is another one for whoever wants to know. */
  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** Undefined when it has not happened yet. */
  get atMs(): number | undefined {
    return this.#atMs;
  }

  /** It happens now. */
  happens(): void {
    const nowMs = this.#clock.nowMs();
    const known = this.#atMs;
    if (known !== undefined && nowMs >= known && nowMs < known + resolutionMs) return;
    this.#atMs = nowMs;
    this.#onChange();
  }
}

/** Something that goes on. */
export function goingOn(kind: ActivityKind, name: string, sinceMs: number): ActivityEntry {
  return create(ActivityEntrySchema, { kind, name: shortName(name), since: timestampOf(sinceMs) });
}

/** Something that happened; nothing when it has not happened yet. */
export function happened(kind: ActivityKind, name: string, { atMs }: LastTime): ActivityEntry[] {
  if (atMs === undefined) return [];
  return [create(ActivityEntrySchema, { kind, name: shortName(name), lastAt: timestampOf(atMs) })];
}

function shortName(name: string): string {
  const line = name.replaceAll(/\s+/g, ' ').trim();
  return line.length <= nameLengthMax ? line : `${line.slice(0, nameLengthMax - 1).toWellFormed()}…`;
}
